"""Events of a file, with the lines they stood in."""

from __future__ import annotations

from pathlib import Path

from daemon.errors import ConfigError, RetaindError
from daemon.events import Event
from daemon.stream.decoders import get_decoder
from daemon.stream.ports import Record


def read_events(path: Path, task: str | None) -> list[tuple[Event, bytes]]:
    """Events of a JSON-lines file with their lines. Raises ConfigError naming the line that is not one."""
    decoder = get_decoder(None, default_task=task)
    events = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                events.append((decoder.decode(Record("file", 0, number, 0.0, None, line)), line))
            except RetaindError as error:
                raise ConfigError(f"{path}:{number + 1}: {error}") from error
    return events
