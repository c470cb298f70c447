"""The protocol of a replay policy: which stored events a pool holds.

A policy acts twice. On the daemon's side :meth:`Policy.plan` says what to draw from the buffer into the job. On
the trainer's side, where the parent's model and the encoded rows are, :meth:`Policy.choose` says which of them are
replayed, and what each weighs. A policy is its own options: ``policy: {kind: recent, share_ratio: 0.5}``.

No torch: both sides use the same class.
"""

from __future__ import annotations

from collections.abc import Sequence

from strategies.base import Example, PoolRequest, TrainContext
from strategies.options import Options


class Policy(Options):
    """Derive, give ``kind`` a literal type, and add a line to :mod:`strategies.policies.registry`."""

    kind: str = ""

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        """What to draw. ``pool``: events that the whole update replays, or so many that none comes more often
        than the options of ``replay`` want; ``epoch``: events that one epoch replays. Both are at least 1; what
        is over the stored events is cut off by the caller."""
        raise NotImplementedError

    def choose(self, context: TrainContext, epoch: int) -> Sequence[Example]:
        """Of ``context.pool``, which holds what other strategies asked for too. An example may get another
        ``weight``. Random only by ``context.rng``."""
        return context.pool

    def __str__(self) -> str:
        return f"{{kind: {self.kind}}}"
