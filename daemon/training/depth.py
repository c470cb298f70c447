"""How deep a weight of the encoder lies below the top layer: what a layer-wise learning rate goes by."""

from __future__ import annotations

from daemon.errors import ConfigError
from daemon.models.tuned import TunedModel
from daemon.models.tuning import layer_stack


def depths(model: TunedModel) -> dict[str, int]:
    """By name of the model's parameters: 0 for the top layer, one more for each below it, and the number of layers for
    what comes before them (embeddings). What comes after them has depth 0.

    Raises ConfigError where the encoder has no stack of layers.
    """
    encoder = model.encoder
    try:
        stack = layer_stack(encoder)
    except ConfigError as error:
        raise ConfigError(
            f"training.layer_decay_ratio: no stack of {encoder.num_layers} layers in {encoder.base.name}; set it to 1"
        ) from error
    places = {id(weights): place for place, layer in enumerate(stack) for weights in layer.parameters()}
    found: dict[str, int] = {}
    outside = len(stack)
    for name, weights in encoder.named_parameters(prefix="encoder"):
        place = places.get(id(weights))
        if place is not None:
            outside = 0
        found[name] = outside if place is None else len(stack) - 1 - place
    return found
