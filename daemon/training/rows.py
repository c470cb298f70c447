"""The rows of a job, encoded: the same tokenizer for champion and candidate, targets by class name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.events import StoredEvent
from daemon.models.tokens import Tokenizer
from daemon.tasks.base import Task
from strategies.base import Example


@dataclass(frozen=True, slots=True)
class RowEncoder:
    """``max_tokens``: longer inputs are cut."""

    task: Task
    tokenizer: Tokenizer
    max_tokens: int

    def encode(self, events: Sequence[StoredEvent], labels: Sequence[str]) -> list[Example]:
        """Examples in the order of ``events``, with targets that count over ``labels``."""
        return [
            self.task.encode(event.id, event.input, event.label, labels, self.tokenizer, self.max_tokens)
            for event in events
        ]
