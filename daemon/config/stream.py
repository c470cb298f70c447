"""The configuration's part ``stream``: where events come from and answers go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daemon.config.decoders import DecoderConfig, JsonDecoder
from daemon.config.kafka import Kafka
from daemon.config.section import Positive, Seconds, Section


class InputTopic(Section):
    topic: str
    """The topic to read."""
    decoder: DecoderConfig = JsonDecoder()
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


class Stream(Section):
    kind: Literal["embedded", "kafka"] = "embedded"
    """``embedded`` needs nothing beside retaind."""
    inputs: list[InputTopic] = Field(
        default=[InputTopic(topic="retaind.labelled"), InputTopic(topic="retaind.requests", predict=True)], min_length=1
    )
    """What is read."""
    outputs: Outputs = Outputs()
    """What is written."""
    max_record_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    """A larger record goes to the dead-letter topic as a reference."""
    probe_interval_s: Annotated[float, Field(ge=0)] = 0
    """How often a marked record goes through the first topic with ``predict: true`` to time the round trip
    (``retaind_probe_seconds``); 0: never. Other readers of that topic see it too, and ingest must be allowed to write
    it."""
    embedded: Embedded = Embedded()
    """Settings of the embedded stream."""
    kafka: Kafka = Kafka()
    """Settings of Kafka."""
