"""Ridge regression that learns one block of examples after another: exact recursive least squares.

The sums G = Σ z zᵀ [d, d] and Q = Σ y zᵀ [C, d] are the primary data. From them P = (G + λI)⁻¹ and B = QP are
solved once and then carried along (Plackett 1950; Sherman & Morrison 1950, Woodbury 1950 for blocks): with the
block's rows Z, U = ZP and signs s (+1 enters, −1 leaves), P −= Uᵀ(diag(s) + UZᵀ)⁻¹U. One row costs about 4d²
multiplications instead of d³; P and G take 4d² bytes each. Rows are carried when B is asked for: where more than
``CARRIED_AT_MOST`` have come since it was asked last, P is solved from the sums, which is cheaper then.

Guarantees:

1. B is the batch solution over what is in, whatever the order of coming and going, to rounding; it is solved
   anew from the sums every ``RESOLVE_EVERY`` rows, so that rounding does not add up, and where a row that leaves
   stood nearly alone.
2. Extra rows (the classes' names) are in P and B and not in the sums.
3. Sums whose rounding is larger than the ridge (half a million examples of a few texts) are solved with the next
   ridge, of doublings, that they bear.
4. A fork can be solved by another thread, with another ridge, while rows come and go here; once joined, 1. holds for
   all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from daemon.heads.block import Block, take, total

RESOLVE_EVERY = 20_000
"""Rows after which P and B are solved from the sums again."""
CARRIED_AT_MOST = 1000
"""Rows that are carried one block after another; about d/4 cost as much as solving."""
CARRIED_TOGETHER = 64
"""Rows that blocks which waited are carried by: P is passed over once for all of them."""
_ALONE = 0.9
"""Leverage above which a row is not taken out by a block: 1 − h stands in the denominator, and single precision
does not bear it. P is solved from the sums then."""
_MOST_RAISED = 40
"""Doublings of a ridge that is too small for the sums; those that bear none of them are not finite."""
_FOLD_ROWS = 256
"""Rows gathered before they enter G, which nobody reads until it is solved again."""


class Ridge:
    """``classes`` grows by :meth:`grow`. Everything float32 on the CPU."""

    def __init__(self, width: int, ridge: float) -> None:
        self.ridge = ridge
        self._width = width
        self._gram = torch.zeros(width, width)
        self._cross = torch.zeros(0, width)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._names: dict[int, Tensor] = {}
        self._inverse: Tensor | None = None
        self._solved = torch.zeros(0, width)
        self._rows_since = 0
        self._pending: list[Block] = []
        """In the sums (or a name), and not yet in P and B."""
        self._since: list[Block] | None = None
        """What has come since the fork; None: there is none, or too much came."""
        self._empty = True

    @property
    def classes(self) -> int:
        return len(self._cross)

    @property
    def solved(self) -> Tensor:
        """B [C, d]."""
        self._ready()
        return self._solved

    def gram(self) -> Tensor:
        """G [d, d], everything in it."""
        if self._waiting:
            rows, signs = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
            self._gram.addmm_((rows * signs[:, None]).T, rows)
            self._waiting.clear()
        return self._gram

    def cross(self) -> Tensor:
        """Q [C, d]."""
        return self._cross

    def grow(self, classes: int) -> None:
        """Rows of zeros for new classes."""
        if classes > self.classes:
            more = torch.zeros(classes - self.classes, self._width)
            self._cross = torch.cat([self._cross, more])
            self._solved = torch.cat([self._solved, more])

    def put(self, gram: Tensor, cross: Tensor) -> None:
        """Add other sums. Raises ValueError for shapes that do not fit."""
        if gram.shape != self._gram.shape or cross.shape != self._cross.shape:
            raise ValueError(f"sums: shapes {tuple(gram.shape)}, {tuple(cross.shape)} do not fit {self._width} wide")
        self._empty = False
        self._gram += gram
        self._cross += cross
        self._forget()
        self._since = None

    def learn(self, rows: Tensor, signs: Tensor, targets: Tensor) -> None:
        """See :class:`Block`. Kept until B is asked for: not to be changed."""
        if self._inverse is None and self._empty and not self._names:
            self._inverse = torch.eye(self._width) / self.ridge
        self._empty = False
        self._waiting.append((rows, signs))
        if sum(len(waiting) for waiting, _ in self._waiting) >= _FOLD_ROWS:
            self.gram()
        self._cross.addmm_(targets.T, rows)
        self._come(Block(rows, signs, targets))

    def name(self, classes: Sequence[int], rows: Tensor) -> None:
        """Extra rows [K, d], one for each of these classes, which have none yet."""
        if classes:
            self._names.update(zip(classes, rows, strict=True))
            self._come(self._named(classes, rows, 1.0))

    def unname(self, classes: Sequence[int]) -> None:
        """Take the extra rows of these classes out."""
        if classes:
            self._come(self._named(classes, torch.stack([self._names.pop(row) for row in classes]), -1.0))

    def fork(self) -> Ridge:
        """The same sums and names, to be solved elsewhere and joined. One at a time: the one before it is forgotten."""
        made = Ridge(self._width, self.ridge)
        made.grow(self.classes)
        made._gram, made._cross, made._names = self.gram().clone(), self._cross.clone(), dict(self._names)
        made._empty = self._empty
        self._since = []
        return made

    def join(self, fork: Ridge) -> None:
        """Go on with the ridge, P and B of the fork; what has come since is carried along. One that was not solved has
        nothing to go on with."""
        since, self._since = self._since, None
        if fork._inverse is None:
            return
        self.ridge = fork.ridge
        if since is None:
            self._forget()
            return
        self._inverse, self._pending = fork._inverse, since
        self._solved = torch.zeros_like(self._cross)
        self._solved[: fork.classes] = fork._solved
        self._rows_since = sum(block.rounding for block in since)

    def solve(self, ridge: float) -> None:
        """P and B from the sums. Raises ValueError where they are not finite."""
        for self.ridge in (ridge * 2.0**doublings for doublings in range(_MOST_RAISED)):
            factor = self.factor(self.ridge)
            if factor is not None:
                break
        else:
            raise ValueError("the ridge's sums are not finite: a text's features were not; learn the task anew")
        self._inverse = torch.cholesky_inverse(factor)
        self._solved = self.total_cross() @ self._inverse
        self._pending.clear()
        self._rows_since = 0

    def factor(self, ridge: float) -> Tensor | None:
        """The lower Cholesky factor of G + names + λI. In double precision where single does not do; None where the
        rounding of the sums makes λ too small for that, too."""
        total = self.gram().clone()
        if self._names:
            rows = torch.stack(list(self._names.values()))
            total.addmm_(rows.T, rows)
        total.diagonal().add_(ridge)
        factor: Tensor
        factor, failed = torch.linalg.cholesky_ex(total)
        if failed:
            factor, failed = torch.linalg.cholesky_ex(total.double())
        return None if failed else factor.float()

    def total_cross(self) -> Tensor:
        """Q with the names in it."""
        total = self._cross.clone()
        for row, vector in self._names.items():
            total[row] += vector
        return total

    def leverage(self, rows: Tensor) -> Tensor:
        """h = diag(Z P Zᵀ) [k]."""
        self._ready()
        assert self._inverse is not None
        return ((rows @ self._inverse) * rows).sum(1)

    def _ready(self) -> None:
        if self._inverse is None:
            if self._empty and not self._names:
                self._inverse = torch.eye(self._width) / self.ridge
            else:
                self.solve(self.ridge)
        self._carry_pending()

    def _carry_pending(self) -> None:
        while self._inverse is not None and self._pending:
            self._carry(*take(self._pending, CARRIED_TOGETHER))

    def _forget(self) -> None:
        """P and B are solved from the sums when they are asked for."""
        self._inverse = None
        self._pending.clear()

    def _named(self, classes: Sequence[int], rows: Tensor, sign: float) -> Block:
        targets = torch.zeros(len(rows), self.classes)
        targets[torch.arange(len(rows)), torch.tensor(list(classes))] = sign
        return Block(rows, torch.full((len(rows),), sign), targets)

    def _come(self, block: Block) -> None:
        self._rows_since += block.rounding
        self._pending.append(block)
        if self._rows_since >= RESOLVE_EVERY or total(self._pending) > CARRIED_AT_MOST:
            self._forget()
        if self._since is not None:
            self._since.append(block)
            if total(self._since) > CARRIED_AT_MOST:
                self._since = None

    def _carry(self, rows: Tensor, signs: Tensor, targets: Tensor) -> None:
        inverse = self._inverse
        assert inverse is not None
        projected = rows @ inverse
        leaving = signs < 0
        if bool(leaving.any()) and float((projected[leaving] * rows[leaving]).sum(1).max()) > _ALONE:
            self.solve(self.ridge)
            return
        moving = signs != 0
        if bool(moving.any()):
            mine, active, signed = projected[moving], rows[moving], signs[moving]
            gains = torch.linalg.solve(torch.diag(signed) + mine @ active.T, mine)
            self._solved -= (self._solved @ active.T) @ gains
            projected = projected - (projected @ active.T) @ gains
            projected[moving] = signed[:, None] * gains  # the same, without the difference of large numbers
            inverse.addmm_(mine.T, gains, alpha=-1.0)
        self._solved[: targets.shape[1]] += targets.T @ projected
