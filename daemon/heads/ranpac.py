"""Random projection and ridge regression: the closed-form fast head (after McDonnell et al., RanPAC, NeurIPS 2023).

Features x (the last layers' means) are projected to z = relu(xW)·√(2/d) and B = Σyzᵀ(Σzzᵀ + λI)⁻¹ is kept up to
date exactly (:mod:`daemon.heads.ridge`). A class answers with

    s_c = { b_c·z · (1 + a/n_c) + [cos(x, S_c) − mean over classes] / (1 + n_c/3) } / (1 + a/n̄),   p = softmax(T·s),

n_c its examples, S_c the sum of their last-layer features, n̄ the mean of n_c (:mod:`daemon.heads.lift`). λ and T come
from leave-one-out on a sample (:mod:`daemon.heads.choosing`), at 128 members, whenever their number has doubled,
and when many have left: among wrong labels λ is larger.

Guarantees:

1. Given λ, what answers does not depend on the order of events, to rounding; members can be taken out, states of
   disjoint members add up.
2. The sample is the members with the smallest keys: the same members, the same sample, while none was taken out.
3. What is being chosen beside the folding (:meth:`RanpacState.choose_beside`) changes nothing until it is known; a
   state that was saved meanwhile chooses again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daemon.heads.choosing import Choosing
from daemon.heads.classes import ClassState, unit
from daemon.heads.leave_one_out import LeftOut
from daemon.heads.lift import Lift
from daemon.heads.members import KEY_BYTES
from daemon.heads.ports import Array
from daemon.heads.ranpac_weights import RanpacOptions, RanpacWeights, last_layer
from daemon.heads.ridge import Ridge
from daemon.heads.sample import Sample
from daemon.heads.triangle import pack, unpack

FIRST_CHOICE = 128
"""Members at which the ridge is chosen for the first time."""
MANY_LEFT = 32
"""One member in so many that left since the ridge was chosen, and at least :data:`FEWEST_LEFT`: it is chosen anew."""
FEWEST_LEFT = 65
_BLOCK = 64
"""Examples folded at once."""


class RanpacState(ClassState):
    """The ridge's sums, each class's sum of last-layer features, and the sample. Memory: 8d² bytes for the
    squares (128 MB at 4,000; three times as much while a ridge is being chosen), 2 MB for the sample, 8d bytes a class,
    and the members."""

    kind = "ranpac"

    def __init__(self, options: RanpacOptions) -> None:
        super().__init__(options.layers)
        self._chosen = options
        self._ridge = Ridge(options.width, options.ridge)
        self._sums = np.zeros((0, 0), np.float64)
        self._sample = Sample(options.sample_events)
        self._queue: list[tuple[Array, int | None, int | None]] = []
        self._in: Mapping[int, Array] = {}
        """The names that are in the ridge."""
        self._temperature = 10.0
        self._next_choice = FIRST_CHOICE
        self._left: set[bytes] = set()
        """Members that left since the last choice, and did not come back."""
        self._choosing: tuple[Choosing, Future[float | None]] | None = None

    @property
    def ridge(self) -> float:
        """The present λ."""
        return self._ridge.ridge

    def weights(self, counts_as_class: Callable[[str, int], bool] | None = None) -> RanpacWeights:
        """Solved for the classes that answer (and count); chooses the ridge anew where that is due."""
        self._fold()
        self._choose()
        labels = self.labels
        if counts_as_class is not None:
            labels = tuple(label for label in labels if counts_as_class(label, int(self._counts[self._rows[label]])))
        rows = [self._rows[label] for label in labels]
        near = self._near(rows)
        boost = torch.from_numpy(self._lift().ridge(self._counts[rows])).float()
        solved = (self._ridge.solved[rows] * boost[:, None]).numpy()
        return RanpacWeights(self.cursor, labels, solved, near, self._temperature, self._width, self._chosen)

    # -- the sums ---------------------------------------------------------------------------------

    def _options(self) -> Mapping[str, Any]:
        return asdict(self._chosen)

    def _blank(self) -> RanpacState:
        return RanpacState(self._chosen)

    def _resize(self, rows: int, width: int) -> None:
        before, self._sums = self._sums, np.zeros((rows, width // self.layers), np.float64)
        self._sums[: before.shape[0], : before.shape[1]] = before
        self._ridge.grow(rows)

    def _move(self, key: bytes, vector: Array, old: int | None, new: int | None) -> None:
        last = last_layer(unit(vector)[None], self.layers)[0]
        if old is not None:
            self._sums[old] = self._sums[old] - last if self._counts[old] else 0.0
        if new is None:
            self._sample.drop(key)
            self._left.add(key)
        else:
            self._left.discard(key)
            self._sums[new] += last
            self._sample.offer(key, vector)
        self._queue.append((vector, old, new))
        if len(self._queue) >= _BLOCK:
            self._fold()

    def _absorb(self, other: RanpacState, rows: Mapping[int, int]) -> None:
        other._fold()
        cross = torch.zeros(len(self._counts), self._chosen.width)
        for theirs, ours in rows.items():
            self._sums[ours] += other._sums[theirs]
            cross[ours] = other._ridge.cross()[theirs]
        self._ridge.put(other._ridge.gram(), cross)
        self._sample.join(other._sample)

    def _sums_tensors(self, size: int) -> Mapping[str, NDArray[Any]]:
        self._fold()
        return {
            "sums": self._sums[:size].copy(),
            "gram": pack(self._ridge.gram()),
            "cross": self._ridge.cross()[:size].numpy(),
            **self._sample.tensors(),
            "left": np.frombuffer(b"".join(sorted(self._left)), np.uint8).reshape(-1, KEY_BYTES).copy(),
        }

    def metadata(self) -> Mapping[str, Any]:
        chosen = {"temperature": self._temperature, "next_choice": self._next_choice, "chosen_ridge": self.ridge}
        return {**super().metadata(), **chosen}

    def _restore_sums(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
        size, width = len(self._rows), self._chosen.width
        sums, cross = np.array(tensors["sums"], np.float64), np.array(tensors["cross"], np.float32)
        if sums.shape != (size, self._width // self.layers) or cross.shape != (size, width):
            raise ValueError(f"sums, cross: shapes {sums.shape}, {cross.shape} do not fit {size} labels, {width} wide")
        self._sums[:size] = sums
        padded = torch.zeros(len(self._counts), width)
        padded[:size] = torch.from_numpy(cross)
        self._ridge.ridge = float(metadata["chosen_ridge"])
        self._ridge.put(unpack(tensors["gram"], width), padded)
        self._sample = Sample.load(tensors, self._chosen.sample_events)
        self._left = {row.tobytes() for row in np.ascontiguousarray(tensors["left"], np.uint8)}
        self._temperature = float(metadata["temperature"])
        self._next_choice = int(metadata["next_choice"])

    # -- solving ----------------------------------------------------------------------------------

    def _fold(self) -> None:
        """The queue and the names into the ridge."""
        if not self._width:
            return
        if self._queue:
            rows = self._project(np.stack([vector for vector, _, _ in self._queue]))
            signs = torch.tensor([float((new is not None) - (old is not None)) for _, old, new in self._queue])
            targets = torch.zeros(len(rows), len(self._counts))
            for place, (_, old, new) in enumerate(self._queue):
                if old is not None:
                    targets[place, old] -= 1.0
                if new is not None:
                    targets[place, new] += 1.0
            self._ridge.learn(rows, signs, targets)
            self._queue.clear()
        names = self._first_examples()
        gone = [row for row, vector in self._in.items() if names.get(row) is not vector]
        come = [row for row, vector in names.items() if self._in.get(row) is not vector]
        self._ridge.unname(gone)
        if come:
            self._ridge.name(come, self._project(np.stack([names[row] for row in come])))
        self._in = dict(names)

    def _project(self, vectors: Array) -> Tensor:
        return self._chosen.projection(self._width)(torch.from_numpy(unit(vectors)))

    def _lift(self) -> Lift:
        return Lift.of(self._chosen.young_events, self._counts, len(self._members))

    def _means(self, rows: list[int]) -> NDArray[np.float64]:
        """Sums of last-layer features with the names in them [C, H]."""
        names = self._first_examples()
        sums = self._sums[rows]
        for place, row in enumerate(rows):
            if row in names:
                sums[place] += last_layer(unit(names[row])[None], self.layers)[0]
        return sums

    def _near(self, rows: list[int]) -> Array:
        means = unit(self._means(rows))
        centred = means - means.mean(axis=0, keepdims=True) if rows else means
        return np.asarray(self._lift().near(centred, self._counts[rows][:, None]), np.float32)

    # -- choosing ---------------------------------------------------------------------------------

    def _choose(self) -> None:
        """Ridge and temperature anew where that is due, and what was chosen as soon as it is known."""
        left = FIRST_CHOICE <= len(self._members) <= MANY_LEFT * len(self._left) and len(self._left) >= FEWEST_LEFT
        if self._choosing is None and (left or len(self._members) >= self._next_choice):
            choosing = self._question()
            self._choosing = choosing, self._beside.submit(choosing)
        if self._choosing is not None and self._choosing[1].done():
            choosing, temperature = self._choosing[0], self._choosing[1].result()
            self._choosing = None
            self._next_choice = 2 * choosing.members
            self._left -= choosing.left
            self._temperature = temperature or self._temperature
            self._ridge.join(choosing.fork)

    def _question(self) -> Choosing:
        """As of now: nothing of it changes when the state does."""
        vectors, keys = self._sample.rows()
        rows = [row for row in range(len(self._counts)) if self._answers(row)]
        column = {row: place for place, row in enumerate(rows)}
        targets = np.array([column[self._members.label(key)] for key in keys], np.int64)  # type: ignore[index]
        counts, sums, near, lift = self._counts[rows], self._means(rows), self._near(rows), self._lift()
        fork, project = self._ridge.fork(), self._project

        def sample() -> LeftOut:
            last, others = last_layer(unit(vectors), self.layers), counts[targets] - 1
            boost, offsets = lift.ridge(counts)[None].repeat(len(keys), 0), last @ near.T
            mine = np.arange(len(keys)), targets
            boost[mine] = lift.ridge(others)
            without, centre = unit(sums[targets] - last), unit(sums).mean(axis=0)
            offsets[mine] = lift.near(((without - centre) * last).sum(axis=1), others)
            return LeftOut(project(vectors), fork.total_cross()[rows].T, targets, boost, offsets)

        return Choosing(fork, sample, len(self._members), frozenset(self._left))


class RanpacKind:
    """Options: those of config ``head: {kind: ranpac}``."""

    def new(self, options: Mapping[str, Any]) -> RanpacState:
        return RanpacState(RanpacOptions.of(options))

    def load_state(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> RanpacState:
        return self.new(metadata).restore(tensors, metadata)

    def load_weights(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> RanpacWeights:
        return RanpacWeights(
            int(metadata["cursor"]),
            tuple(metadata["labels"]),
            np.array(tensors["solved"], np.float32),
            np.array(tensors["near"], np.float32),
            float(metadata["temperature"]),
            int(metadata["features"]),
            RanpacOptions.of(metadata),
        )
