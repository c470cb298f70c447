"""What a business sends: fresh events, the same ones again, other labels, late labels, and what is no event."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

LABELS = ("card_lost", "refund", "delivery", "password")
POISON = (
    b"{not json %d",
    b"[1, %d]",
    b'{"id": %d, "text": "a", "label": "b"}',
    b"\xff\xfe %d",
    b'{"id": "x", "label": "%d"',
)


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    key: bytes | None
    value: bytes


class Traffic:
    """Draws messages from ``draw``: labelled events to ``labelled``, requests without a label to ``requests``.

    A label of a request comes to ``labelled`` by itself, later or (now and then) earlier. All records of an id have
    one key. ``made`` counts fresh ids; those begin with ``prefix``.
    """

    def __init__(self, draw: random.Random, labelled: str, requests: str, prefix: str = "e") -> None:
        self._draw, self._labelled, self._requests, self._prefix = draw, labelled, requests, prefix
        self._recent: list[Message] = []
        self._unlabelled: list[str] = []
        self.made = 0

    def batch(self, fresh: int) -> Sequence[Message]:
        """``fresh`` new events, and with them what else comes."""
        draw, found = self._draw, [self._event() for _ in range(fresh)]
        self._recent = (self._recent + found)[-5000:]
        again = draw.choices(self._recent, k=fresh // 20)
        revised = [self._revision(draw.choice(self._recent)) for _ in range(fresh // 20)]
        late = [self._label(self._unlabelled.pop(0)) for _ in range(min(len(self._unlabelled), fresh // 10))]
        poison = [Message(self._labelled, None, self._poison()) for _ in range(max(1, fresh // 50))]
        mixed = [*found, *again, *revised, *late, *poison]
        draw.shuffle(mixed)
        return mixed

    def _event(self) -> Message:
        name = f"{self._prefix}{self.made}"
        self.made += 1
        fields = {"id": name, "task": "support", "time": "2026-01-01T00:00:00Z", "text": f"text of {name} " * 4}
        if self._draw.random() < 0.1:
            self._unlabelled.append(name)
            return Message(self._requests, name.encode(), orjson.dumps(fields))
        fields["label"] = self._draw.choice(LABELS)
        return Message(self._labelled, name.encode(), orjson.dumps(fields))

    def _revision(self, message: Message) -> Message:
        fields = {**orjson.loads(message.value), "label": self._draw.choice(LABELS)}
        return Message(self._labelled, message.key, orjson.dumps(fields))

    def _label(self, name: str) -> Message:
        fields = {"id": name, "task": "support", "label": self._draw.choice(LABELS)}
        return Message(self._labelled, name.encode(), orjson.dumps(fields))

    def _poison(self) -> bytes:
        return self._draw.choice(POISON) % self._draw.randrange(10**9)
