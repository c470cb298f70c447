"""Which weights an update moves (``tasks.NAME.tune``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daemon.config.section import Positive, Ratio, Section


class HeadTune(Section):
    """Only the head moves."""

    kind: Literal["head"] = "head"


class LastLayersTune(Section):
    """The head and the last layers move."""

    kind: Literal["last_layers"] = "last_layers"
    layers: Positive = 3
    """How many layers, counted from the last."""


class LoraTune(Section):
    """Low-rank adapters (Hu et al. 2021) and the head."""

    kind: Literal["lora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=512)] = 8
    """r of the decomposition."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """Scaling: alpha / rank."""
    dropout_ratio: Ratio = 0.0
    """Dropout before the adapter."""
    targets: list[str] = Field(default=[])
    """Names of the linear layers; empty: every linear layer of the encoder."""


class FullTune(Section):
    """Everything moves but the word embeddings (unless ``embeddings``)."""

    kind: Literal["full"] = "full"
    embeddings: bool = False
    """Train the word embeddings too."""


Tune = Annotated[HeadTune | LastLayersTune | LoraTune | FullTune, Field(discriminator="kind")]
