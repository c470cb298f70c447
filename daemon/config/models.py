"""The configuration as a whole: typed, documented models. The reference in docs/ is generated from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from daemon.config.section import Device, Name, Positive, Seconds, Section
from daemon.config.stream import Stream
from daemon.config.task import TaskConfig


class BufferConfig(Section):
    max_bytes: Annotated[int, Field(ge=1 << 20)] = 10 << 30
    """Old events go when the buffer is larger, balanced over classes."""
    outbox_max_bytes: Annotated[int, Field(ge=1 << 16)] = 1 << 30
    """Dead letters that their topic does not take wait in the outbox; at this size reading pauses (one poll more may
    be stored)."""
    max_age_s: Annotated[float, Field(ge=0)] = 0
    """Older events go; 0: never."""
    pending_expiry_s: Seconds = 30 * 86400
    """A label that waits longer for its event is dropped and counted."""


class Predict(Section):
    device: Device = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: Positive = 1
    """CPU threads."""
    precision: Literal["fp32", "int8"] = "fp32"
    """``int8``: the encoder's linear layers in 8-bit integers, on a CPU; close calls are answered again in fp32."""
    recheck_odds: Annotated[float, Field(ge=1)] = 1.2
    """With int8: a text whose likeliest class is less than so many times as likely as the next is a close call."""
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


class RolePorts(Section):
    ingest: Annotated[int, Field(ge=0, le=65535)] = 8091
    """0: a free port (``http-ingest.json`` in the state directory tells which)."""
    learn: Annotated[int, Field(ge=0, le=65535)] = 8092
    """0: a free port (``http-learn.json``)."""


class Http(Section):
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs ``token_file``."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    """0: a free port."""
    role_ports: RolePorts = RolePorts()
    """Where a role that was started alone (``--role``) answers /livez, /readyz and /metrics; predict uses ``port``."""
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
