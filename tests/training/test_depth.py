"""How deep weights lie, on the real base model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from daemon.config.task import Model, Training
from daemon.config.tune import FullTune, LoraTune, Tune
from daemon.errors import ConfigError
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tuned import TunedModel
from daemon.models.tuning import apply_tuning, layer_stack
from daemon.tasks import get_task
from daemon.training.depth import depths
from daemon.training.optimiser import parameter_groups


def model(tune: Tune) -> TunedModel:
    encoder = Encoder.load(resolve_base(Model()), torch.device("cpu"))
    apply_tuning(encoder, tune, seed=1)
    task = get_task("sequence")
    return TunedModel(encoder, task.build_head(encoder.hidden_size, ["a", "b"], None, 0), ["a", "b"], task)


@pytest.mark.parametrize("tune", [FullTune(kind="full", embeddings=True), LoraTune(kind="lora")])
def test_every_moving_weight_has_the_depth_of_its_layer(tune: Tune) -> None:
    # Given an encoder that moves as a whole, or by an adapter
    tuned = model(tune)
    found = depths(tuned)
    # Then the top layer has depth 0, each below it one more, and embeddings as many as there are layers
    layers = len(layer_stack(tuned.encoder))
    by_depth: dict[int, set[str]] = {}
    for name, _ in tuned.trainable():
        if not name.startswith("head."):
            by_depth.setdefault(found[name], set()).add(name)
    for depth in range(layers):
        assert by_depth[depth]
        assert all(f".layer.{layers - 1 - depth}." in name for name in by_depth[depth])
    embedded = by_depth.get(layers, set())
    assert all(".embeddings." in name for name in embedded)
    assert bool(embedded) is (tune.kind == "full")


def test_rates_fall_from_layer_to_layer() -> None:
    # Given a ratio of 0.5, When groups are made, Then a layer's rate is half of the one above it; the head has its own
    tuned = model(LoraTune(kind="lora"))
    training = Training(learning_rate=0.001, head_learning_rate=0.1, layer_decay_ratio=0.5)
    groups = parameter_groups(tuned.trainable(), training, depths(tuned))
    layers = len(layer_stack(tuned.encoder))
    encoder = sorted({group["lr"] for group in groups} - {0.1}, reverse=True)
    assert encoder == pytest.approx([0.001 * 0.5**depth for depth in range(layers)])
    # and each weight is in one group
    placed = [id(weights) for group in groups for weights in group["params"]]
    assert sorted(placed) == sorted(id(weights) for _, weights in tuned.trainable())


def test_an_encoder_without_a_stack_of_layers_is_refused_by_the_options_name() -> None:
    # Given an encoder that is one linear layer, Then the message names the key and its mend
    tuned = model(LoraTune(kind="lora"))
    config = tuned.encoder.transformer.config
    tuned.encoder.transformer = nn.Linear(2, 2)
    tuned.encoder.transformer.config = config
    with pytest.raises(ConfigError, match=r"training\.layer_decay_ratio: no stack of \d+ layers in .*; set it to 1"):
        depths(tuned)
