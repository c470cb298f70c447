"""What the fast learner asks before it folds a label: whether its source can be believed.

Changes are judged in blocks of ``BLOCK`` by their ``seq``, each by what was known when its block began, so that a
verdict does not depend on what came together in one slice. The fast head's word counts: it can be asked as if a
label had never been learnt, by taking the label out.

Guarantees:

1. The same log gives the same verdicts, however it is sliced, and with a restart in between (to rounding; where a
   head chooses its ridge beside the folding, verdicts after a choice are by that ridge, whenever it was known).
2. A HeadState is brought in line with the ledger before it folds on, whichever version's it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import orjson

from daemon.buffer.ports import BufferReader
from daemon.durable import write_atomically
from daemon.events import Change, ChangeKind, Input, Split
from daemon.heads import store as head_store
from daemon.heads.ports import Array, FastWeights, HeadState
from daemon.roles.replay import Lesson
from daemon.tasks.base import TaskSchema
from daemon.trust.entries import Given
from daemon.trust.finding import Finding, find
from daemon.trust.ledger import Ledger
from daemon.update.eligible import Window, left_out

BLOCK = 16
"""Changes that are judged by the same weights."""
LOOK = 16
"""Blocks after which labels that were young are looked at again."""
AT_ONCE = 64
"""Labels that one look takes out of the head at most."""
PRUNED = 16
"""Suspects, oldest first, of which a look asks whether the buffer still has them."""

Taught = tuple[Change, Lesson | None]
"""A change with what it teaches (:func:`daemon.roles.replay.lesson`)."""
Encode = Callable[[Sequence[Input]], Iterable[Array]]
"""Inputs -> features, one row each, of the version whose HeadState is folded."""


class Scrutiny:
    """Of one HeadState. ``directory``: where it is saved."""

    def __init__(
        self,
        task: str,
        schema: TaskSchema,
        reader: BufferReader,
        ledger: Ledger,
        directory: Path,
        windows: Sequence[Window] = (),
    ) -> None:
        self._task = task
        self._schema = schema
        self._reader = reader
        self._ledger = ledger
        self._directory = directory / "judge"
        self._windows = windows
        self._block = -1
        self._weights: FastWeights | None = None
        self._counts: Mapping[str, int] = {}
        self._aligned: int | None = None

    def blocks(self, changes: Sequence[Taught]) -> Iterator[tuple[int, Sequence[Taught]]]:
        """``changes`` with the number of their block, cut where a block ends."""
        for number, block in groupby(changes, key=lambda taught: (taught[0].seq - 1) // BLOCK):
            yield number, list(block)

    def turn(self, state: HeadState, number: int, encode: Encode) -> None:
        """Block ``number`` begins: hold back what has become suspicious, and ask this state from now on."""
        if number == self._block:
            return
        if number > self._ledger.block:
            before, self._ledger.block = self._ledger.block, number
            self._ledger.accuse()
            if number // LOOK > before // LOOK:
                self._look(state, encode)
        self.align(state, encode)
        self._weights, self._counts = _ask(state)
        self._block = number

    def answers(self, changes: Sequence[Taught], features: Mapping[Input, Array]) -> Mapping[Input, Array]:
        """What the head says, as of the block's beginning, to each input of ``changes`` that teaches: [C] over
        ``labels``."""
        inputs = list(dict.fromkeys(change.event.input for change, said in changes if said is not None))
        if self._weights is None or not inputs:
            return {}
        odds = self._weights.probabilities(np.stack([features[value] for value in inputs]).astype(np.float32))
        return dict(zip(inputs, odds, strict=True))

    @property
    def labels(self) -> tuple[str, ...]:
        return () if self._weights is None else self._weights.labels

    def judge(self, changes: Sequence[Taught], answers: Mapping[Input, Array]) -> AbstractSet[str]:
        """Pass the changes of a block. Returns the ids of events whose labels must not be folded."""
        for change, said in changes:
            if change.seq > self._ledger.cursor:
                self._pass(change, said, answers)
                self._ledger.cursor = change.seq
        return {change.event.id for change, _ in changes if self._ledger.holds(change.event.id)}

    def _pass(self, change: Change, said: Lesson | None, answers: Mapping[Input, Array]) -> None:
        event, key = change.event, (change.previous_key or change.event.key).hex()
        self._ledger.forget(event.id, key, erased=change.kind is ChangeKind.ERASE)
        if said is not None and isinstance(said.label, str) and len(self._schema.classes(said.label)) == 1:
            train = event.split is Split.TRAIN
            given = Given(event.id, event.key.hex(), said.label, event.source, change.seq, train)
            odds = answers.get(event.input)
            self._ledger.judge(given, None if odds is None else self._find(said.label, odds, self.labels, self._counts))

    def align(self, state: HeadState, encode: Encode) -> bool:
        """Take out of the state what is held back, put in what is not any more; whether anything moved."""
        if self._aligned == self._ledger.revision:
            return False
        out = [row for row in self._ledger.suspects if row.train and state.holds(bytes.fromhex(row.key), row.id)]
        back = [
            row
            for row in self._ledger.cleared
            if row.train and row.seq <= state.cursor and not state.holds(bytes.fromhex(row.key), row.id)
        ]
        for row, vector in self._encoded(out, encode):
            state.remove(bytes.fromhex(row.key), row.id, vector)
        for row, vector in self._encoded(back, encode, self._windows):
            state.add(bytes.fromhex(row.key), row.id, row.label, vector)
        self._aligned = self._ledger.revision
        return bool(out or back)

    # -- the judge over a restart -------------------------------------------------------------------

    def resume(self, state: HeadState) -> None:
        """Go on in the middle of a block with the weights that were asked in it."""
        number = (state.cursor - 1) // BLOCK
        counts = self._directory / "counts.json"
        if head_store.weights_stamp(self._directory) is None or not counts.exists():
            return
        kept = orjson.loads(counts.read_bytes())
        if kept["block"] == number and kept["cursor"] == state.cursor:
            self._weights, self._counts, self._block = (
                head_store.load_weights(self._directory)[0],
                kept["counts"],
                number,
            )

    def save(self, state: HeadState) -> None:
        """The ledger, then the weights that are asked; the HeadState comes after them."""
        self._ledger.save()
        if self._weights is not None:
            head_store.save_weights(self._directory, self._weights, 1.0)
            kept = {"block": self._block, "cursor": state.cursor, "counts": self._counts}
            write_atomically(self._directory / "counts.json", orjson.dumps(kept))

    # -- looking again ------------------------------------------------------------------------------

    def _look(self, state: HeadState, encode: Encode) -> None:
        """Judge labels that were young, as if they and the others looked at had never been learnt."""
        self._prune()
        if not self._ledger.sources.several:
            return
        _, counts = _ask(state)
        ripe = list(islice(self._ripe(counts), AT_ONCE))
        for row in ripe:
            self._ledger.young.pop(row.id)
        rows = self._encoded(ripe, encode)
        inside = {row.id for row, _ in rows if row.train and state.holds(bytes.fromhex(row.key), row.id)}
        for row, vector in rows:
            if row.id in inside:
                state.remove(bytes.fromhex(row.key), row.id, vector)
        weights, counts = _ask(state)
        for row, vector in rows:
            if row.id in inside:
                state.add(bytes.fromhex(row.key), row.id, row.label, vector)
            odds = weights.probabilities(np.asarray(vector, np.float32)[None])[0]
            found = self._find(row.label, odds, weights.labels, counts)
            if found is None:
                self._ledger.young.put(row)
            else:
                self._ledger.grown(row, found)

    def _ripe(self, counts: Mapping[str, int]) -> Iterator[Given]:
        """Labels whose class stays grown without those looked at; at most a quarter of a class at once."""
        young, taken = self._ledger.config.young_events, dict[str, int]()
        for row in self._ledger.young:
            left = min(counts.get(row.label, 0) - young, counts.get(row.label, 0) // 4 + 1)
            if taken.get(row.label, 0) < left:
                taken[row.label] = taken.get(row.label, 0) + 1
                yield row

    def _prune(self) -> None:
        for row in islice(self._ledger.suspects, PRUNED):
            if self._reader.get(self._task, row.id) is None:
                self._ledger.forget(row.id, row.key, erased=True)

    # -- asking -------------------------------------------------------------------------------------

    def _find(self, label: str, odds: Array, labels: tuple[str, ...], counts: Mapping[str, int]) -> Finding | None:
        return find(label, odds, labels, counts, self._ledger.config.young_events)

    def _encoded(
        self, rows: Sequence[Given], encode: Encode, windows: Sequence[Window] = ()
    ) -> list[tuple[Given, Array]]:
        """Those whose input is still what it was, and in none of ``windows``, with its features."""
        events = [(row, self._reader.get(self._task, row.id)) for row in rows]
        there = [
            (row, event.input)
            for row, event in events
            if event is not None and event.key.hex() == row.key and not left_out(windows, event.label_time)
        ]
        return list(zip([row for row, _ in there], encode([value for _, value in there]), strict=True))


def _ask(state: HeadState) -> tuple[FastWeights, Mapping[str, int]]:
    """Weights for every class, with the examples of each."""
    counts: dict[str, int] = {}

    def count(label: str, members: int) -> bool:
        counts[label] = members
        return True

    return state.weights(count), counts
