"""What was read while the poll before it was being stored. Nothing of it counts before it is stored itself."""

from __future__ import annotations

from collections.abc import Callable

from daemon.roles.reading import Read

WAIT_S = 0.01
"""How long reading ahead waits for the stream: no longer than storing takes where reading ahead pays at all."""


class Ahead:
    """At most one poll. ``read`` gives one, waiting for so many seconds."""

    def __init__(self, read: Callable[[float], Read]) -> None:
        self._read = read
        self._held: Read | None = None
        self._error: Exception | None = None

    def fetch(self) -> None:
        """Read, in the middle of something else: an error waits for :meth:`check`."""
        try:
            read = self._read(WAIT_S)
            self._held = read if read.ends else None
        except Exception as error:  # noqa: BLE001 - raised by check
            self._error = error

    def check(self) -> None:
        """Raises what fetching raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def take(self) -> Read | None:
        """What was read, once; None where nothing was."""
        held, self._held = self._held, None
        return held

    def drop(self) -> None:
        self._held = self._error = None
