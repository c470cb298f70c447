"""The fast learner (``tasks.NAME.head``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daemon.config.section import Positive, Section


class NoHead(Section):
    """No fast head: the fine-tuned head answers alone."""

    kind: Literal["none"] = "none"


class NcmHead(Section):
    """Nearest class mean on the encoder's features (Mensink et al. 2013)."""

    kind: Literal["ncm"] = "ncm"
    layers: Positive = 3
    """How many of the last layers make the features."""
    temperature: Annotated[float, Field(gt=0)] = 20.0
    """Probabilities are softmax(temperature x cosine)."""
    names: bool = True
    """A class's first example is its label's own words (``card_lost``: "card lost"), or its description."""
    refit_max_events: Positive = 4_000
    """At most so many stored events, balanced over classes, are re-encoded after an update."""


class SldaHead(Section):
    """Streaming linear discriminant analysis (Hayes & Kanan 2020): class means and one covariance."""

    kind: Literal["slda"] = "slda"
    layers: Positive = 3
    """How many of the last layers make the features."""
    shrinkage_ratio: Annotated[float, Field(gt=0, le=1)] = 0.1
    """How far the covariance is drawn towards its mean variance."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Probabilities are softmax(temperature x discriminant)."""
    names: bool = True
    """A class's first example is its label's own words, or its description."""
    refit_max_events: Positive = 4_000
    """At most so many stored events, balanced over classes, are re-encoded after an update."""


class RanpacHead(Section):
    """Ridge regression on a wide random projection of the features, exact and recursive (RanPAC, McDonnell et
    al. 2023). Memory in learner and trainer: 8 x width² bytes (128 MB at 4,000), three times as much while λ is being
    chosen; a snapshot is half of that."""

    kind: Literal["ranpac"] = "ranpac"
    layers: Positive = 3
    """How many of the last layers make the features."""
    width: Annotated[int, Field(ge=100, le=10_000)] = 4_000
    """Of the projection; one label costs time in proportion to its square."""
    ridge: Annotated[float, Field(gt=0, le=8)] = 0.03
    """λ until 128 events have come; then leave-one-out chooses it, again with each doubling and when many have left."""
    young_events: Annotated[float, Field(ge=0)] = 10.0
    """a of the factor 1 + a/n that lifts a class with n events; 0: none."""
    sample_events: Annotated[int, Field(ge=50, le=5_000)] = 500
    """Events that choose the ridge and the temperature."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the projection."""
    names: bool = True
    """A class's first example is its label's own words (``card_lost``: "card lost"), or its description."""
    refit_max_events: Positive = 4_000
    """At most so many stored events, balanced over classes, are re-encoded after an update."""


Head = Annotated[NoHead | NcmHead | SldaHead | RanpacHead, Field(discriminator="kind")]
