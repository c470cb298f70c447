"""Record → event. A decoder never raises anything but DecodeError; it is chosen by its ``kind``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from daemon.config.decoders import CloudEventsDecoder, JsonDecoder, MappedDecoder
from daemon.errors import ConfigError, DecodeError
from daemon.events import Event
from daemon.stream.cloudevents import CloudEvents
from daemon.stream.json_form import JsonEvents
from daemon.stream.mapped import MappedEvents
from daemon.stream.ports import Record

__all__ = ["DECODERS", "DecodeError", "Decoder", "get_decoder"]


class Decoder(Protocol):
    """Thread-safe."""

    kind: str

    def decode(self, record: Record) -> Event:
        """Raises DecodeError with a reason of bounded cardinality, and nothing else."""


DECODERS: dict[str, Callable[[Any, str | None], Decoder]] = {
    "json": lambda cfg, default_task: JsonEvents(default_task),
    "cloudevents": CloudEvents,
    "mapped": MappedEvents,
}
"""kind -> (its configuration, the task of events that name none) -> decoder."""


def get_decoder(
    cfg: JsonDecoder | CloudEventsDecoder | MappedDecoder | None = None, *, default_task: str | None = None
) -> Decoder:
    """The decoder of an input topic; None: our JSON form. Raises ConfigError for a kind there is not."""
    settings = cfg or JsonDecoder()
    make = DECODERS.get(settings.kind)
    if make is None:
        raise ConfigError(f"decoder.kind: {settings.kind!r} is none; allowed: {', '.join(sorted(DECODERS))}")
    return make(settings, default_task)
