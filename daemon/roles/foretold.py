"""Which of the last labels were answered rightly before they were learnt (prequential, Dawid 1984)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daemon.heads.blend import Floats
from daemon.update.pair import Pair

LAST = 4096
"""Labels that are remembered."""


class Foretold:
    """By ``seq``: the label, and whether it was foretold."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[str, bool]] = {}

    def note(self, seqs: Sequence[int], truth: Sequence[str], answers: Floats, labels: Sequence[str]) -> None:
        """``answers`` [B, C] over ``labels`` to inputs whose label was ``truth``. What is asked twice counts once, as
        it was answered first."""
        chosen = answers.argmax(axis=1).tolist() if answers.shape[1] else []
        said = [labels[column] for column in chosen] or [None] * len(truth)
        for seq, label, answer in zip(seqs, truth, said, strict=True):
            self._rows.setdefault(seq, (label, answer == label))
        for seq in list(self._rows)[: max(0, len(self._rows) - LAST)]:
            del self._rows[seq]

    def beside(self, candidate: Foretold) -> Pair:
        """What both were asked, in the order of the stream: unit scores [N, 1], this one's as the champion's."""
        both = sorted(self._rows.keys() & candidate._rows.keys())
        mine, theirs = (
            np.array([[float(one._rows[seq][1])] for seq in both]).reshape(-1, 1) for one in (self, candidate)
        )
        return Pair(mine, theirs, [self._rows[seq][0] for seq in both])
