"""What a buffer must hold, worked out from the topics alone and compared with what was exported from it.

Independent of the daemon: its decoders, its buffer and its counters are not asked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.sqlite import read_only
from tests.kafka.topics import Stored, Topics
from tests.kafka.traffic import Message

CONNECT = "__connect.errors."
Place = tuple[str, int, int]


class Ledger:
    """Reads ``inputs`` (what transactions committed) as they are now.

    ``labels``: id -> the label that holds, for every id with an input; ``poison``: place -> value of what is no event.
    """

    def __init__(self, topics: Topics, inputs: Sequence[str]) -> None:
        self._topics, self._inputs = topics, inputs
        self.labels: dict[str, str | None] = {}
        self.poison: dict[Place, bytes | None] = {}
        self.values: Counter[bytes] = Counter()
        said: dict[str, list[tuple[float, str, int, int, str]]] = {}
        for topic in inputs:
            for record in topics.read(topic):
                self.values[record.value or b""] += 1
                fields = _event(record)
                if fields is None:
                    self.poison[topic, record.partition, record.offset] = record.value
                    continue
                if "text" in fields:
                    self.labels.setdefault(fields["id"], None)
                if "label" in fields:
                    place = (record.time_ms, topic, record.partition, record.offset)
                    said.setdefault(fields["id"], []).append((*place, fields["label"]))
        for name, statements in said.items():
            if name in self.labels:
                self.labels[name] = max(statements)[-1]

    def check_acknowledged(self, messages: Iterable[Message]) -> None:
        """What the brokers acknowledged is in the topics."""
        missing = [message for message in messages if not self.values[message.value]]
        assert not missing, f"{len(missing)} acknowledged messages are not in their topics: {missing[:3]}"

    def check_export(self, exported: Sequence[Mapping[str, Any]]) -> None:
        """Each id once, none missing, none too many, each with the label that holds."""
        twice = [name for name, times in Counter(str(event["id"]) for event in exported).items() if times > 1]
        assert not twice, f"exported more than once: {twice[:5]}"
        found = {str(event["id"]): event.get("label") for event in exported}
        missing, strange = self.labels.keys() - found.keys(), found.keys() - self.labels.keys()
        assert not missing, f"{len(missing)} events are not in the buffer: {sorted(missing)[:5]}"
        assert not strange, f"{len(strange)} events are in the buffer that nobody committed: {sorted(strange)[:5]}"
        wrong = {name: (found[name], label) for name, label in self.labels.items() if found[name] != label}
        assert not wrong, f"{len(wrong)} labels (found, expected) differ: {list(wrong.items())[:5]}"

    def check_letters(self, letters: Sequence[Stored]) -> None:
        """Every place of poison has its dead letter, with its value; nothing else has. At least once: one that was
        sent again has the same place."""
        found = {place_of(letter): letter.value for letter in letters}
        assert found == self.poison

    def check_positions(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Everything was read: positions are the ends of the topics. (A marker behind the last record would be in the
        way; a test that uses transactions sends one more record to each partition.)"""
        ends = {(topic, n): end for topic in self._inputs for n, (_, end) in self._topics.bounds(topic).items()}
        assert dict(positions) == {place: end for place, end in ends.items() if end}


def place_of(letter: Stored) -> Place:
    """Where a dead letter's record was."""
    headers = dict(letter.headers)
    topic, partition, offset = (headers[CONNECT + name].decode() for name in ("topic", "partition", "offset"))
    return topic, int(partition), int(offset)


def positions(buffer: Path) -> dict[tuple[str, int], int]:
    """(topic, partition) -> next offset, by SQL; empty where there is no buffer yet."""
    if not buffer.exists():
        return {}
    connection = read_only(buffer)
    try:
        rows = connection.execute("SELECT topic, partition, next FROM positions").fetchall()
        return {(str(topic), int(str(partition))): int(str(end)) for topic, partition, end in rows}
    finally:
        connection.close()


def _event(record: Stored) -> dict[str, Any] | None:
    """The fields of an event, by the rules of docs/reference/events.md as far as traffic.py breaks them."""
    try:
        fields = json.loads(record.value or b"")
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and isinstance(fields.get("id"), str) else None
