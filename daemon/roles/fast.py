"""The fast learner of one task: folds each label into a HeadState on one version's encoder.

Guarantees:

1. A change is folded exactly once: state and cursor are saved together, and a restart folds the
   buffer after that cursor again.
2. What predictors load (weights) carries the cursor of the last change folded.
3. Only train rows are folded; labels whose source is ``prediction`` weigh nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import structlog
import torch

from daemon.buffer.ports import BufferReader
from daemon.config.paths import StatePaths
from daemon.config.task import TaskConfig
from daemon.events import Change, ChangeKind, Input, Split
from daemon.heads import get_head
from daemon.heads import store as head_store
from daemon.heads.ports import HeadState
from daemon.registry.version import Version
from daemon.serving.served import ServedModel, load_served
from daemon.tasks.base import TaskSchema

log = structlog.get_logger(__name__)


class FastLearner:
    """One version's encoder with the HeadState that grows on it.

    Made by :meth:`open`; afterwards :meth:`fold` until caught up, :meth:`snapshot` now and then.
    """

    def __init__(
        self,
        task: str,
        config: TaskConfig,
        schema: TaskSchema,
        reader: BufferReader,
        served: ServedModel,
        state: HeadState | None,
        blend: float,
        directory: Path,
        cursor: int,
    ) -> None:
        self.task = task
        self.served = served
        self.state = state
        self.cursor = cursor
        self.train_changes = 0
        self._config = config
        self._schema = schema
        self._reader = reader
        self._blend = blend
        self._directory = directory
        self._saved_cursor = -1

    @classmethod
    def open(
        cls,
        task: str,
        config: TaskConfig,
        schema: TaskSchema,
        reader: BufferReader,
        version: Version,
        paths: StatePaths,
        device: torch.device,
    ) -> FastLearner:
        """The version's last HeadState where there is one, else the one its update refitted, else an
        empty one. Publishes its weights, so that a predictor can load the version at once.

        Raises VersionCorrupt for a snapshot whose hash differs.
        """
        directory = paths.head(task, version.id)
        kind = get_head(config.head.kind)
        served = load_served(version, None, device)
        if kind is None:
            return cls(task, config, schema, reader, served, None, 1.0, directory, version.meta.cursor)
        refitted = version.path / "fast"
        source = next((d for d in (directory, refitted) if head_store.state_cursor(d) is not None), None)
        state = kind.new(config.head.model_dump(mode="json")) if source is None else head_store.load_state(source)
        blend = 0.5
        if head_store.weights_stamp(refitted) is not None:
            blend = head_store.load_weights(refitted)[1]
        learner = cls(task, config, schema, reader, served, state, blend, directory, state.cursor)
        learner.publish()
        return learner

    @property
    def version(self) -> Version:
        return self.served.version

    def fold(self, limit: int) -> int:
        """Take in at most ``limit`` changes after the cursor and publish; returns how many there were."""
        changes = self._reader.tail(self.task, self.cursor, limit)
        if not changes:
            return 0
        ours = [change for change in changes if change.event.split is Split.TRAIN and self._counts(change)]
        self.train_changes += sum(change.event.label is not None for change in ours)
        if self.state is not None:
            self._fold(self.state, ours)
            self.state.advance(changes[-1].seq)
        self.cursor = changes[-1].seq
        self.publish()
        return len(changes)

    @staticmethod
    def _counts(change: Change) -> bool:
        return change.event.source != "prediction" or change.kind in (ChangeKind.ERASE, ChangeKind.RETRACT)

    def _fold(self, state: HeadState, changes: Sequence[Change]) -> None:
        inputs: list[Input] = []
        for change in changes:
            inputs.append(change.event.input)
            if change.previous_input is not None:
                inputs.append(change.previous_input)
        if not inputs:
            return
        features = iter(self.served.features(inputs, state.layers))
        for change in changes:
            event, now = change.event, next(features)
            before = next(features) if change.previous_input is not None else now
            if change.kind is not ChangeKind.LABEL:
                state.remove(change.previous_key or event.key, event.id, before)
            if event.label is not None and change.kind is not ChangeKind.ERASE:
                for name in self._schema.classes(event.label):
                    state.add(event.key, event.id, name, np.asarray(now, dtype=np.float32))

    def forget(self, rows: Iterable[tuple[bytes, str, Input]]) -> None:
        """Take events (key, id, input) out, members or not; for a rollback without later labels."""
        if self.state is None:
            return
        for key, event_id, value in rows:
            self.state.remove(key, event_id, self.served.features([value], self.state.layers)[0])
        self.publish()

    def publish(self) -> None:
        """Write the small weights that predictors load."""
        if self.state is not None:
            head_store.save_weights(self._directory, self.state.weights(), self._blend)

    def snapshot(self) -> None:
        """Write the sums with their cursor, where anything changed."""
        if self.state is not None and self.state.cursor != self._saved_cursor:
            head_store.save_state(self._directory, self.state)
            self._saved_cursor = self.state.cursor

    def answering(self) -> ServedModel:
        """What a predictor that loaded this version now answers with."""
        return self.served if self.state is None else self.served.with_weights(self.state.weights(), self._blend)
