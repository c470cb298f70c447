"""The fast learner of one task: folds each label into a HeadState on one version's encoder.

Guarantees:

1. A change is folded exactly once: state and cursor are saved together, and a restart folds the
   buffer after that cursor again.
2. What predictors load (weights) carries the cursor of the last change folded.
3. Only train rows are folded; labels whose source is ``prediction`` weigh nothing, nor do labels that a
   rollback left out, nor those that are held back (:mod:`daemon.roles.scrutiny`).
4. Windows of left-out labels are taken out of a HeadState (and put in again when they end) before it
   folds on; a crash in between does it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
import structlog

from daemon.beside import AT_ONCE
from daemon.buffer.ports import BufferReader
from daemon.config.task import TaskConfig
from daemon.events import Change, ChangeKind, Input, Split
from daemon.heads import store as head_store
from daemon.heads.blend import Floats, blend
from daemon.heads.naming import name_classes
from daemon.heads.ports import Array, FastWeights, HeadState
from daemon.registry.version import Version
from daemon.roles.foretold import Foretold
from daemon.roles.leaving import LeavingOut
from daemon.roles.opening import Opened, names_classes
from daemon.roles.replay import Lesson, lesson
from daemon.roles.scrutiny import Scrutiny
from daemon.serving.served import ServedModel
from daemon.tasks.base import TaskSchema
from daemon.tasks.labels import is_class
from daemon.trust.ledger import Ledger
from daemon.update.eligible import Window

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
        opened: Opened,
        ledger: Ledger,
        windows: Sequence[Window] = (),
    ) -> None:
        self.task = task
        self.served = opened.served
        self.state = opened.state
        self.cursor = opened.cursor
        self.train_changes = 0
        self.erased: set[str] = set()
        """Ids of events whose erasure was folded; whoever holds copies empties it."""
        self.foretold = Foretold()
        self._config = config
        self._schema = schema
        self._reader = reader
        self._blend = opened.blend
        self._directory = opened.directory
        self._windows = windows
        self._names = names_classes(config, schema)
        self._saved_cursor = -1
        self._ledger = ledger
        self._scrutiny = Scrutiny(task, schema, reader, ledger, opened.directory, windows)

    @classmethod
    def open(
        cls,
        task: str,
        config: TaskConfig,
        schema: TaskSchema,
        reader: BufferReader,
        opened: Opened,
        ledger: Ledger,
        windows: Sequence[Window] = (),
        beside: Executor = AT_ONCE,
    ) -> FastLearner:
        """Go on from ``opened``, and publish its weights, so that a predictor can load the version at once. ``ledger``:
        the task's, shared by its versions; ``windows``: labels left out, active ones and ended ones; ``beside``: where
        what takes seconds is chosen.
        """
        learner = cls(task, config, schema, reader, opened, ledger, windows)
        if opened.state is not None:
            opened.state.choose_beside(beside)
            leaving = LeavingOut(task, schema, reader, ledger, opened.served, opened.directory, windows)
            learner._leave_out(opened.state, leaving)
            learner._scrutiny.resume(opened.state)
            learner.publish()
        return learner

    @property
    def version(self) -> Version:
        return self.served.version

    def fold(self, limit: int) -> int:
        """Take in at most ``limit`` changes after the cursor and publish; returns how many there were."""
        if self.state is not None and self._scrutiny.align(self.state, self._encode):
            self.publish()
        changes = self._reader.tail(self.task, self.cursor, limit)
        if not changes:
            return 0
        self.erased.update(change.event.id for change in changes if change.kind is ChangeKind.ERASE)
        taught = [(change, lesson(change, self._windows)) for change in changes]
        if self.state is not None:
            taught = self._take_in(self.state, taught)
        self.train_changes += sum(said.label is not None for _, said in _ours(taught))
        self.cursor = changes[-1].seq
        self.publish()
        return len(changes)

    def _take_in(
        self, state: HeadState, changes: Sequence[tuple[Change, Lesson | None]]
    ) -> list[tuple[Change, Lesson | None]]:
        """Judge and fold, a block at a time; returns what was taught."""
        inputs = _inputs(changes)
        outputs = self.served.heads(inputs, state.layers)
        features = dict(zip(inputs, outputs.features, strict=True))
        known, labels = outputs.settled
        tuned = dict(zip(inputs, known, strict=True))
        found: list[tuple[Change, Lesson | None]] = []
        for number, block in self._scrutiny.blocks(changes):
            self._scrutiny.turn(state, number, self._encode)
            answers = self._scrutiny.answers(block, features)
            held = self._scrutiny.judge(block, answers)
            taught = [(change, Lesson(None) if said and change.event.id in held else said) for change, said in block]
            self._compare(taught, tuned, labels, answers)
            self._fold(state, _ours(taught), features)
            state.advance(block[-1][0].seq)
            found += taught
        return found

    def _compare(
        self,
        changes: Sequence[tuple[Change, Lesson | None]],
        tuned: Mapping[Input, Floats],
        labels: Sequence[str],
        fast: Mapping[Input, Array],
    ) -> None:
        """Whether the answer, and which of the heads, knew labels that neither has learnt; holdout rows are the gate's
        alone."""
        rows = [
            (change.seq, tuned[change.event.input], fast[change.event.input], said.label)
            for change, said in changes
            if said is not None
            and isinstance(said.label, str)
            and change.kind is ChangeKind.LABEL
            and change.event.split is not Split.HOLDOUT
            and change.event.input in fast
        ]
        if rows:
            seqs, ours, theirs, truth = zip(*rows, strict=True)
            heads = np.stack(ours), labels, np.stack(theirs), self._scrutiny.labels
            self.foretold.note(seqs, truth, *blend(*heads, self._blend.weight))
            self._blend.see(*heads, truth)

    def _encode(self, inputs: Sequence[Input]) -> Array:
        return self.served.features(inputs, None if self.state is None else self.state.layers)

    def _fold(
        self, state: HeadState, changes: Sequence[tuple[Change, Lesson]], features: Mapping[Input, Array]
    ) -> None:
        if self._names:
            taught_labels = [taught.label for _, taught in changes if taught.label is not None]
            classes = [name for label in taught_labels for name in self._schema.classes(label)]
            name_classes(state, classes, self._config.labels, partial(self.served.features, layers=state.layers))
        for change, taught in changes:
            event, now = change.event, features[change.event.input]
            before = features[change.previous_input] if change.previous_input is not None else now
            if change.kind is not ChangeKind.LABEL:
                state.remove(change.previous_key or event.key, event.id, before)
            if taught.label is not None:
                for name in self._schema.classes(taught.label):
                    state.add(event.key, event.id, name, np.asarray(now, dtype=np.float32))

    def _leave_out(self, state: HeadState, leaving: LeavingOut) -> None:
        """Bring the state in line with the windows, where it was made under others."""
        if not leaving.changed:
            return
        inputs = 0
        for number in leaving.slices(state):
            self.publish()
            inputs += number
        self.snapshot(even_if_unmoved=True)
        leaving.settle()
        log.info("labels_left_out", task=self.task, version=self.version.id, inputs=inputs, windows=len(self._windows))

    def weights(self, state: HeadState) -> FastWeights:
        """What answers now: the classes that count (``labels.mode``)."""
        return state.weights(partial(is_class, cfg=self._config.labels))

    def publish(self) -> None:
        """Write the small weights that predictors load."""
        if self.state is not None:
            head_store.save_weights(self._directory, self.weights(self.state), self._blend.weight)

    def snapshot(self, *, even_if_unmoved: bool = False) -> None:
        """Write the sums with their cursor, where anything changed."""
        if self.state is not None and (even_if_unmoved or self.state.cursor != self._saved_cursor):
            self._scrutiny.save(self.state)
            self._blend.save(self._directory)
            head_store.save_state(self._directory, self.state)
            self._saved_cursor = self.state.cursor

    def answering(self) -> ServedModel:
        """What a predictor that loaded this version now answers with."""
        return (
            self.served
            if self.state is None
            else self.served.with_weights(self.weights(self.state), self._blend.weight)
        )


def _ours(changes: Sequence[tuple[Change, Lesson | None]]) -> list[tuple[Change, Lesson]]:
    """What is folded: train rows that teach something, or nothing any more."""
    return [(change, said) for change, said in changes if said is not None and change.event.split is Split.TRAIN]


def _inputs(changes: Sequence[tuple[Change, Lesson | None]]) -> list[Input]:
    """Every input that is judged, folded or taken out, once."""
    inputs = [change.event.input for change, said in changes if said is not None]
    inputs += [change.previous_input for change, _ in _ours(changes) if change.previous_input is not None]
    return list(dict.fromkeys(inputs))
