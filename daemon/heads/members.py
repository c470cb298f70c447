"""Who is in a fast head: each normalised input once, under its latest label.

One input may be known under several event ids (the same text sent twice). It counts once, with the
label of the event that was folded last; when that event is taken out, the last one before it counts.

Guarantees:

1. An input counts under exactly one label, or not at all.
2. Putting the same (input, event, label) in again changes no count, so folding a stretch of the log
   twice gives what folding it once gives.
3. Only what was put in is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Move:
    """What a change means for the sums: the input leaves ``old`` and enters ``new`` (None: nowhere)."""

    old: int | None
    new: int | None


class _Vote(NamedTuple):
    event: bytes
    label: int


class Members:
    """Members by input key; labels are row numbers that the head gives.

    Ids are kept as 16-byte digests. Memory: some 300 bytes a member.
    """

    def __init__(self) -> None:
        self._votes: dict[bytes, tuple[_Vote, ...]] = {}

    def __len__(self) -> int:
        return len(self._votes)

    def __contains__(self, key: bytes) -> bool:
        return key in self._votes

    def holds(self, key: bytes, event_id: str) -> bool:
        """Whether that event's label of the input is in."""
        event = _digest(event_id)
        return any(vote.event == event for vote in self._votes.get(key, ()))

    def label(self, key: bytes) -> int | None:
        """The row that the input counts under."""
        votes = self._votes.get(key)
        return votes[-1].label if votes else None

    def put(self, key: bytes, event_id: str, label: int) -> Move:
        """The event's label is now ``label``, and the latest of its input. Raises ValueError for a bad key."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"key: {len(key)} bytes; a normalised input's hash has {KEY_BYTES}")
        event = _digest(event_id)
        votes = self._votes.get(key, ())
        self._votes[key] = (*(vote for vote in votes if vote.event != event), _Vote(event, label))
        return Move(votes[-1].label if votes else None, label)

    def take(self, key: bytes, event_id: str) -> Move | None:
        """Take the event out; None where it is not in."""
        event = _digest(event_id)
        votes = self._votes.get(key, ())
        left = tuple(vote for vote in votes if vote.event != event)
        if len(left) == len(votes):
            return None
        if left:
            self._votes[key] = left
        else:
            del self._votes[key]
        return Move(votes[-1].label, left[-1].label if left else None)

    def join(self, other: Members, rows: Mapping[int, int]) -> None:
        """Take over the members of ``other``, its row r being ``rows[r]`` here.

        Raises ValueError where both know an input: which label is later cannot be told.
        """
        both = self._votes.keys() & other._votes.keys()
        if both:
            raise ValueError(f"members: {len(both)} inputs are in both states; merge states of disjoint inputs")
        for key, votes in other._votes.items():
            self._votes[key] = tuple(_Vote(vote.event, rows[vote.label]) for vote in votes)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """``keys`` uint8 [M, 16], ``votes`` int32 [M] (events of each key), and for all events in a row,
        oldest first within a key, ``events`` uint8 [E, 16] and ``event_labels`` int32 [E]."""
        every = [vote for votes in self._votes.values() for vote in votes]
        return {
            "keys": _rows(b"".join(self._votes)),
            "votes": np.fromiter((len(votes) for votes in self._votes.values()), np.int32, len(self._votes)),
            "events": _rows(b"".join(vote.event for vote in every)),
            "event_labels": np.fromiter((vote.label for vote in every), np.int32, len(every)),
        }

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]]) -> Members:
        """From :meth:`tensors`. Raises ValueError where the arrays do not belong together."""
        keys, events = _cut(tensors["keys"]), _cut(tensors["events"])
        counts, labels = tensors["votes"].tolist(), tensors["event_labels"].tolist()
        if len(keys) != len(counts) or len(events) != len(labels) or sum(counts) != len(events) or 0 in counts:
            raise ValueError(f"members: {len(keys)} keys, {len(counts)} counts, {len(events)} events do not fit")
        made, at = cls(), 0
        for key, count in zip(keys, counts, strict=True):
            made._votes[key] = tuple(_Vote(events[i], labels[i]) for i in range(at, at + count))
            at += count
        return made


def _digest(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=KEY_BYTES).digest()


def _rows(joined: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(joined, np.uint8).reshape(-1, KEY_BYTES).copy()


def _cut(rows: NDArray[Any]) -> list[bytes]:
    joined = np.ascontiguousarray(rows, np.uint8).tobytes()
    return [joined[i : i + KEY_BYTES] for i in range(0, len(joined), KEY_BYTES)]
