"""Served models that need no encoder: their answers tell which of them answered."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from daemon.events import Input
from strategies.base import Example


def text(value: str) -> Input:
    return Input(text=value)


class FakeServed:
    """Labels an input ``VERSION:CURSOR:TEXT`` (letter by letter is its tokenisation).

    ``gate``: answering waits for it. Raises for the text "poison". ``encoded_by`` stands in the tokens
    (the version's number as the first id), so that foreign tokens are noticed.
    """

    def __init__(
        self, version: int, cursor: int, gate: threading.Event | None = None, encoding: Hashable = "same"
    ) -> None:
        self.version, self.cursor, self.gate, self._encoding = version, cursor, gate, encoding
        self.batches: list[int] = []
        self.encoded_in: set[str] = set()

    @property
    def version_id(self) -> str:
        return f"{self.version:06d}"

    @property
    def labels_seen(self) -> int:
        return self.cursor

    @property
    def encoding(self) -> Hashable:
        return self._encoding

    def encode(self, inputs: Sequence[Input]) -> list[Example]:
        self.encoded_in.add(threading.current_thread().name)
        first = 0 if self._encoding == "same" else self.version
        return [Example("", (first, *map(ord, value.text or "")), -1) for value in inputs]

    def answer_encoded(self, examples: Sequence[Example], top_k: int) -> list[Mapping[str, Any]]:
        if self.gate is not None:
            assert self.gate.wait(10)
        self.batches.append(len(examples))
        answers: list[Mapping[str, Any]] = []
        for example in examples:
            assert example.token_ids[0] in (0, self.version), "tokenised by another version"
            found = "".join(map(chr, example.token_ids[1:]))
            if found == "poison":
                raise ValueError("poison")
            label = f"{self.version_id}:{self.cursor}:{found}"
            answers.append({"label": label, "version": self.version_id, "labels_seen": self.cursor, "k": top_k})
        return answers


class CountingObserver:
    """Remembers what was counted and measured."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.values: list[tuple[str, float]] = []

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        self.counts[metric, labels["task"]] += int(amount)

    def measure(self, metric: str, value: float, **labels: str) -> None:
        self.values.append((metric, value))

    def set(self, metric: str, value: float, **labels: str) -> None:
        return
