"""Dead letters back to where they came from, once the cause is mended.

Guarantees:

1. A record goes back with its key, value, headers and timestamp; what is said of the error stays behind.
   ``retaind.replayed`` counts how often it went, ``retaind.origin`` names the place where it first was.
2. Of one record only the latest letter goes, so that what fails again is one more letter, not twice as many.
3. What was sent back before and was stored counts once: (task, id) is unique in the buffer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from daemon.errors import RecordRefused
from daemon.events import Origin
from daemon.roles.dead_letters import ORIGIN, REPLAYED, without_errors
from daemon.roles.letter import FOREIGN, Letter, place_text
from daemon.stream.ports import OutRecord, Sink

AT_ONCE, BYTES_AT_ONCE = 200, 8 << 20
FLUSH_S = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant: all conditions hold; ``places`` empty: any."""

    reason: str | None = None
    since: float | None = None
    topic: str | None = None
    places: frozenset[Origin] = frozenset()

    def has(self, letter: Letter) -> bool:
        return (
            (self.reason is None or letter.reason == self.reason)
            and (self.since is None or letter.time >= self.since)
            and (self.topic is None or letter.place.topic == self.topic)
        )


class _Latest(NamedTuple):
    replayed: int
    found: Origin
    reason: str
    topic: str
    cannot: str
    wanted: bool


@dataclass(slots=True)
class Plan:
    """What will go, by the place where it lies; a few hundred bytes a letter."""

    chosen: Set[Origin] = frozenset()
    by_reason: Counter[str] = field(default_factory=Counter)
    by_topic: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    """place -> why it cannot go"""
    missing: list[str] = field(default_factory=list)
    """Places that were named and are not there."""


def plan(letters: Iterable[Letter], wanted: Wanted, read: Set[str], to: str | None) -> Plan:
    """``read``: topics of stream.inputs; ``to``: another topic for all of them."""
    latest: dict[str, _Latest] = {}
    named: dict[Origin, str] = {}
    for letter in letters:
        if letter.place in wanted.places:
            named[letter.place] = letter.root
        known = latest.get(letter.root)
        if letter.found is not None and (known is None or letter.replayed >= known.replayed):
            topic = to or letter.place.topic
            cannot = _cannot(letter, read, to)
            latest[letter.root] = _Latest(
                letter.replayed, letter.found, letter.reason, topic, cannot, wanted.has(letter)
            )
    made = Plan(missing=[place_text(place) for place in sorted(wanted.places - named.keys())])
    roots = set(named.values())
    going = {root: found for root, found in latest.items() if found.wanted and (not wanted.places or root in roots)}
    made.refused = {root: found.cannot for root, found in going.items() if found.cannot}
    able = [found for found in going.values() if not found.cannot]
    made.chosen = {found.found for found in able}
    made.by_reason = Counter(found.reason for found in able)
    made.by_topic = Counter(found.topic for found in able)
    return made


def _cannot(letter: Letter, read: Set[str], to: str | None) -> str:
    if letter.is_reference:
        return (
            f"a reference: its value ({letter.size} bytes) is not in the letter; raise the limit that it was over, and "
            f"produce it again from {place_text(letter.place)} or from its source"
        )
    if to is None and letter.reason == FOREIGN:
        return "no letter of retaind: name a topic with --to"
    if to is None and letter.place.topic not in read:
        return f"{letter.place.topic} is not in stream.inputs: name a topic with --to"
    return ""


def record_of(letter: Letter, to: str | None) -> OutRecord:
    """What goes back."""
    counted = (REPLAYED, ORIGIN)
    headers = [header for header in without_errors(letter.headers) if header[0] not in counted]
    headers += [(ORIGIN, letter.root.encode()), (REPLAYED, str(letter.replayed + 1).encode())]
    return OutRecord(to or letter.place.topic, letter.value, letter.key, tuple(headers), letter.time)


@dataclass(slots=True)
class Sent:
    acknowledged: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """place -> why the stream refused it"""


def send_back(
    letters: Iterable[Letter],
    chosen: Set[Origin],
    sink: Sink,
    to: str | None,
    sent: Sent,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Send those of ``letters`` that are ``chosen``; ``sent`` is brought up to date after every flush, so that who
    is interrupted knows how far it came. Raises StreamUnavailable."""
    for some in _batches(letter for letter in letters if letter.found in chosen):
        records = [record_of(letter, to) for letter in some]
        sink.send(records)
        refused: dict[str, str] = {}
        try:
            sink.flush(FLUSH_S)
        except RecordRefused as error:
            refused = {
                place_text(letter.place): str(error)
                for letter, record in zip(some, records, strict=True)
                if record in error.records
            }
        sent.refused |= refused
        sent.acknowledged += len(some) - len(refused)
        advance(len(some))


def _batches(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    batch: list[Letter] = []
    size = 0
    for letter in letters:
        batch.append(letter)
        size += len(letter.value or b"")
        if len(batch) == AT_ONCE or size >= BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
