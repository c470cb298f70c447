"""Which head to trust, learnt as labels come: the tuned head stands still between updates, the fast head does not.

Where the stream moves on, a tuned head is left behind. So each label is scored under every weight of the blend before
it is learnt, the losses fade, and the weight that would have lost least answers: model averaging with a forgetting
factor (Raftery, Kárný & Ettler 2010), with the whole mass on the best weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson

from daemon.durable import write_atomically
from daemon.errors import VersionCorrupt
from daemon.heads.blend import WEIGHTS, Floats, align, best, losses

FADES = 1 - 1 / 200
"""Of a label's loss, with each that comes after it."""
SURE = 10.0
"""What a weight at the other end loses in advance against the one that validation chose, in nats."""
FILE = "blend.json"


class TrackedBlend:
    """The tuned head's weight in the answer, in [0, 1]. Begins at ``weight``."""

    def __init__(self, weight: float) -> None:
        self._losses: Floats = SURE * (WEIGHTS - weight) ** 2
        self._first: float | None = weight

    @property
    def weight(self) -> float:
        return best(self._losses) if self._first is None else self._first

    def see(
        self,
        tuned: Floats,
        tuned_labels: Sequence[str],
        fast: Floats,
        fast_labels: Sequence[str],
        truth: Sequence[str],
    ) -> None:
        """What both heads said to rows that neither had learnt: ``tuned`` [B, Ct], ``fast`` [B, Cf], ``truth`` [B].

        Classes that one head does not know say nothing of the other.
        """
        both = set(fast_labels)
        place = {label: column for column, label in enumerate(tuned_labels) if label in both}
        targets = [place.get(label, -1) for label in truth]
        theirs = align(fast, fast_labels, tuned_labels)
        for row in losses(tuned * theirs.sum(axis=1, keepdims=True), theirs, targets):
            self._losses = FADES * self._losses + row
            self._first = None

    def save(self, directory: Path) -> None:
        """Beside the HeadState. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / FILE, orjson.dumps({"weight": self._first, "losses": self._losses.tolist()}))

    @classmethod
    def load(cls, directory: Path, weight: float) -> TrackedBlend:
        """As it was saved there; else at ``weight``. After a crash the labels since are seen again, or twice: they
        are evidence, not sums. Raises VersionCorrupt."""
        made = cls(weight)
        try:
            found = orjson.loads((directory / FILE).read_bytes())
            made._losses = np.asarray(found["losses"], np.float64)
            made._first = None if found["weight"] is None else float(found["weight"])
        except FileNotFoundError:
            return made
        except (ValueError, TypeError, KeyError) as error:
            raise VersionCorrupt(f"{directory / FILE}: not a blend ({error!r}); delete it") from error
        if made._losses.shape != WEIGHTS.shape or not np.isfinite(made._losses).all():
            raise VersionCorrupt(f"{directory / FILE}: not {len(WEIGHTS)} losses; delete it")
        return made
