"""The way from the outbox to the dead-letter topic.

Guarantees:

1. A letter leaves the outbox after the topic acknowledged it: at least once, in the order of arrival.
2. A topic that is away, missing or denied is tried again with growing pauses. Events wait at most a quarter of
   the time for that.
3. A letter that the topic refuses goes without its timestamp, then as a reference. Where that is refused too it stays
   in the outbox, is tried again now and then, and does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from daemon.buffer.ports import BufferWriter, DeadLetter
from daemon.clock import Clock
from daemon.errors import RecordRefused, StoreFull, StreamUnavailable
from daemon.roles.dead_letters import out_record, reference
from daemon.roles.troubles import Troubles
from daemon.stream.ports import Sink

log = structlog.get_logger(__name__)

AT_ONCE = 500
FIRST_FLUSH_S, LONGEST_FLUSH_S = 3.0, 30.0
"""How long acknowledgements may take; longer after each that took too long."""
SHARE = 3
"""A pause lasts at least so many times what the failed attempt took: events have three quarters of the time."""
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 5.0
REFUSED_AGAIN_S = 60.0
ROOM_RATIO = 0.75
"""A full outbox has room again below this share of its budget."""


class Letters:
    """``topic``: of the dead letters; ``connector`` names the writer in each; ``max_bytes``: the outbox's budget."""

    def __init__(
        self,
        buffer: BufferWriter,
        sink: Sink,
        troubles: Troubles,
        clock: Clock,
        *,
        topic: str,
        connector: str,
        max_bytes: int,
    ) -> None:
        self._buffer, self._sink, self._troubles, self._clock = buffer, sink, troubles, clock
        self._topic, self._connector, self._max_bytes = topic, connector, max_bytes
        self._waiting = True  # a former process may have left some
        self._after = 0  # letters up to this number are either gone or were refused
        self._again = 0.0
        self._next = clock.monotonic()
        self._retry_s, self._flush_s = FIRST_RETRY_S, FIRST_FLUSH_S
        self._error = ""
        self._was_full = False

    def came(self) -> None:
        """Letters were put into the outbox."""
        self._waiting = True

    def full(self) -> str | None:
        """Why the outbox takes no more; None while it does."""
        size = self._buffer.outbox_size()
        self._was_full = size.bytes >= self._max_bytes * (ROOM_RATIO if self._was_full else 1)
        if not self._was_full:
            return None
        why = f"dead letters cannot be written: {self._error}" if self._error else f"{self._topic} is behind"
        return (
            f"reading paused: outbox full ({size.letters} dead letters, {size.bytes} bytes; buffer.outbox_max_bytes is "
            f"{self._max_bytes}): {why}; reading goes on by itself once they are written"
        )

    def send(self) -> bool:
        """Send some of what waits; whether any went."""
        now = self._clock.monotonic()
        if self._after and now >= self._again:  # what was refused stays behind: from the start once more
            self._after, self._waiting = 0, True
        if not self._waiting or now < self._next:
            return False
        try:
            return self._send()
        except (StreamUnavailable, StoreFull) as error:
            self._error = str(error)
            self._troubles.set("dead_letters_wait", f"dead letters cannot be written: {error}")
            ended = self._clock.monotonic()
            self._next = ended + max(self._retry_s, SHARE * (ended - now))
            self._retry_s = min(LONGEST_RETRY_S, self._retry_s * 2)
            self._flush_s = min(LONGEST_FLUSH_S, self._flush_s * 2)
            return False

    def _send(self) -> bool:
        letters = dict(self._buffer.outbox(AT_ONCE, after=self._after))
        if not letters:
            self._waiting = False
            return False
        refused = self._deliver(letters)
        left: Mapping[int, str] = {}
        if refused:
            left = self._deliver({number: letters[number] for number in refused}, dated=False)
            left = self._deliver({number: reference(letters[number], refused[number]) for number in left}, dated=False)
            for number, why in refused.items():
                place = letters[number].origin._asdict()
                log.warning("dead_letter_refused", error=left.get(number, why), stays=number in left, **place)
        self._buffer.acknowledge([number for number in letters if number not in left])
        if left and not self._after:
            self._again = self._clock.monotonic() + REFUSED_AGAIN_S
        if left or self._after:
            self._after = max(letters)
        self._error, self._retry_s, self._flush_s = "", FIRST_RETRY_S, FIRST_FLUSH_S
        self._troubles.set("dead_letters_wait", None)
        return len(left) < len(letters)

    def _deliver(self, letters: Mapping[int, DeadLetter], *, dated: bool = True) -> Mapping[int, str]:
        """The numbers of those that the topic refused, with why. Raises StreamUnavailable, StoreFull."""
        records = {
            number: out_record(letter, self._topic, self._connector, dated=dated) for number, letter in letters.items()
        }
        self._sink.send(list(records.values()))
        try:
            self._sink.flush(self._flush_s)
        except RecordRefused as error:
            refused = {number: str(error) for number, record in records.items() if record in error.records}
            if not refused:
                raise StreamUnavailable(f"{error} (none of the letters is named: all are sent again)") from error
            return refused
        return {}
