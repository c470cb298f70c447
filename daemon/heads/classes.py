"""What every fast head is made of: classes with their members, counts and names.

A class's *name* (its label's own words, or a description) is its first example: features that count as one
more example of the class while it answers. It is no member: it is not in the sums, so that states of disjoint
members add up, and it goes when the last member goes. A *standing* class answers from its name alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from daemon.beside import AT_ONCE
from daemon.heads.members import Members
from daemon.heads.ports import Array

SAME_NAME = 1e-5
"""Features of the same words differ by less, whatever they were encoded with."""


class ClassState(ABC):
    """Rows by label, in the order in which they were first seen; a kind of head keeps its sums by row.

    ``labels`` are the classes that answer: those with members, and standing ones.
    """

    kind: str

    def __init__(self, layers: int) -> None:
        self.cursor = 0
        self.layers = layers
        self._rows: dict[str, int] = {}
        self._counts = np.zeros(0, np.int64)
        self._members = Members()
        self._names: dict[int, Array] = {}
        self._standing: set[int] = set()
        self._width = 0
        self._beside: Executor = AT_ONCE

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label, row in self._rows.items() if self._answers(row))

    def add(self, key: bytes, event_id: str, label: str, features: Array) -> None:
        """Fold a label: ``key`` 16 bytes, ``features`` [D]. Where the input counted under another label,
        it is taken out there. Raises ValueError for features that do not fit or are not finite."""
        vector = self._vector(features)
        move = self._members.put(key, event_id, self._row(label))
        self._shift(key, vector, move.old, move.new)

    def remove(self, key: bytes, event_id: str, features: Array) -> None:
        """Take an event's label out; the input falls back to the label of its other events, if any."""
        vector = self._vector(features)
        move = self._members.take(key, event_id)
        if move is not None:
            self._shift(key, vector, move.old, move.new)

    def named(self, label: str) -> bool:
        """Whether the label's words are known."""
        return self._rows.get(label) in self._names

    def name(self, label: str, features: Array) -> None:
        """The label's words as its first example; other words replace earlier ones. Raises ValueError."""
        vector = self._vector(features)
        row = self._row(label)
        before = self._names.get(row)
        if before is None or float(np.abs(before - vector).max()) > SAME_NAME:
            self._names[row] = vector

    def stand(self, labels: Collection[str]) -> None:
        """These, and no others, answer without a member; each must be named. Raises ValueError."""
        unnamed = [label for label in labels if not self.named(label)]
        if unnamed:
            raise ValueError(f"labels: {unnamed} have no name; name them first")
        self._standing = {self._rows[label] for label in labels}

    def holds(self, key: bytes, event_id: str) -> bool:
        """Whether that event's label of the input is in the sums."""
        return self._members.holds(key, event_id)

    def advance(self, cursor: int) -> None:
        self.cursor = max(self.cursor, cursor)

    def choose_beside(self, executor: Executor) -> None:
        self._beside = executor

    def members(self) -> int:
        return len(self._members)

    def merge(self, other: Self) -> Self:
        """The state of both, whose inputs must be disjoint; its cursor is the lower one, up to which
        both have everything (folding on from there is harmless). Raises ValueError for shared inputs,
        another width or other options."""
        if self._options() != other._options():
            raise ValueError(f"options: {self._options()} and {other._options()}; merge states made with equal ones")
        widths = {state._width for state in (self, other)} - {0}
        if len(widths) > 1:
            raise ValueError(f"features: widths {sorted(widths)}; must be equal")
        made = self._blank()
        made.cursor = min(self.cursor, other.cursor)
        for state in (self, other):
            if not state._rows:
                continue
            made._widen(state._width)
            rows = {row: made._row(label) for label, row in state._rows.items()}
            made._members.join(state._members, rows)
            for theirs, ours in rows.items():
                made._counts[ours] += state._counts[theirs]
                if theirs in state._names:
                    made._names.setdefault(ours, state._names[theirs])
            made._standing |= {rows[row] for row in state._standing}
            made._absorb(state, rows)
        return made

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        size = len(self._rows)
        named = sorted(self._names)
        return {
            "counts": self._counts[:size].copy(),
            "names": np.array(named, np.int32),
            "name_features": np.stack([self._names[row] for row in named]) if named else np.zeros((0, 0), np.float32),
            "standing": np.array(sorted(self._standing), np.int32),
            **self._members.tensors(),
            **self._sums_tensors(size),
        }

    def metadata(self) -> Mapping[str, Any]:
        return {"cursor": self.cursor, "labels": list(self._rows), "features": self._width, **self._options()}

    def restore(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> Self:
        """Into a new state, from :meth:`tensors` and :meth:`metadata`. Raises ValueError where they do not
        belong together."""
        labels: list[str] = list(metadata["labels"])
        counts = np.array(tensors["counts"], np.int64)
        if len(labels) != len(counts):
            raise ValueError(f"counts: {len(counts)} for {len(labels)} labels; they must fit")
        self.cursor = int(metadata["cursor"])
        if labels:
            self._widen(int(metadata["features"]))
        for label in labels:
            self._row(label)
        self._counts[: len(counts)] = counts
        self._members = Members.load(tensors)
        if len(self._members) != int(counts.sum()):
            raise ValueError(f"counts: {int(counts.sum())} in all; there are {len(self._members)} members")
        rows, features = tensors["names"].tolist(), np.array(tensors["name_features"], np.float32)
        if len(rows) != len(features) or not {*rows, *tensors["standing"].tolist()} <= set(range(len(labels))):
            raise ValueError(f"names: {len(rows)} with {len(features)} features for {len(labels)} labels; must fit")
        self._names = dict(zip(rows, features, strict=True))
        self._standing = set(tensors["standing"].tolist())
        self._restore_sums(tensors, metadata)
        return self

    # -- what a kind adds -------------------------------------------------------------------------

    @abstractmethod
    def _options(self) -> Mapping[str, Any]:
        """What two states must share to be merged, ``layers`` too; part of the metadata."""

    @abstractmethod
    def _blank(self) -> Self:
        """A new state of the same options."""

    @abstractmethod
    def _resize(self, rows: int, width: int) -> None:
        """Room for so many classes of so many features; what is there stays."""

    @abstractmethod
    def _move(self, key: bytes, vector: Array, old: int | None, new: int | None) -> None:
        """The input leaves ``old`` and enters ``new``, which differ; counts are those of afterwards."""

    @abstractmethod
    def _absorb(self, other: Self, rows: Mapping[int, int]) -> None:
        """Add the other's sums, its row r being ``rows[r]`` here."""

    @abstractmethod
    def _sums_tensors(self, size: int) -> Mapping[str, NDArray[Any]]:
        """The sums of the first ``size`` rows."""

    @abstractmethod
    def _restore_sums(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
        """Raises ValueError for shapes that do not fit the rows."""

    # -- for the kinds ----------------------------------------------------------------------------

    def _answers(self, row: int) -> bool:
        return bool(self._counts[row]) or row in self._standing

    def _first_examples(self) -> Mapping[int, Array]:
        """The names that count now, by row."""
        return {row: vector for row, vector in self._names.items() if self._answers(row)}

    def _row(self, label: str) -> int:
        row = self._rows.setdefault(label, len(self._rows))
        if row == len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(max(8, row), np.int64)])
            self._resize(len(self._counts), self._width)
        return row

    def _vector(self, features: Array) -> Array:
        vector = np.array(features, np.float32)
        if vector.ndim != 1 or len(vector) == 0 or self._width not in (0, len(vector)):
            raise ValueError(f"features: shape {vector.shape}; this head needs [{self._width or 'D'}]")
        if not np.isfinite(vector).all():
            raise ValueError("features: not finite; the encoder's output is broken")
        self._widen(len(vector))
        return vector

    def _widen(self, width: int) -> None:
        if self._width == 0 and width:
            self._width = width
            self._resize(len(self._counts), width)

    def _shift(self, key: bytes, vector: Array, old: int | None, new: int | None) -> None:
        if old == new:
            return
        if old is not None:
            self._counts[old] -= 1
        if new is not None:
            self._counts[new] += 1
        self._move(key, vector, old, new)


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows of length 1 (of zeros: zeros)."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))


def softmax(scores: NDArray[Any]) -> Array:
    """[B, C] scores -> [B, C] probabilities."""
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)
