"""Two heads, one answer: the tuned head's and the fast head's probabilities, mixed by a weight.

The fast head may know classes that the tuned head has not been trained on yet. With m the fast
head's mass on those: they keep the fast head's probabilities, and the classes that the tuned head
knows share the rest, w (1 - m) p_tuned + (1 - w) p_fast. The sum is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

DEFAULT_BLEND = 0.5
"""The weight before any validation row could choose one."""

WEIGHTS = np.linspace(0.0, 1.0, 21)
"""Those of the tuned head that are compared."""
_LEAST = 1e-7


def align(probabilities: Floats, labels: Sequence[str], onto: Sequence[str]) -> Floats:
    """[B, C] over ``labels`` -> [B, C'] over ``onto``, 0 where a label is not in ``labels``.

    Labels that ``onto`` does not have are left out.
    """
    place = {label: column for column, label in enumerate(labels)}
    made = np.zeros((len(probabilities), len(onto)), np.float64)
    pairs = [(column, place[label]) for column, label in enumerate(onto) if label in place]
    if pairs:
        ours, theirs = zip(*pairs, strict=True)
        made[:, list(ours)] = probabilities[:, list(theirs)]
    return made


def blend(
    tuned: Floats, tuned_labels: Sequence[str], fast: Floats, fast_labels: Sequence[str], weight: float
) -> tuple[Floats, tuple[str, ...]]:
    """``tuned`` [B, Ct] and ``fast`` [B, Cf] -> ([B, C] float64 whose rows sum to 1, labels).

    ``labels``: the tuned head's, in order, then those only the fast head has. ``weight`` in [0, 1] is
    the tuned head's. With one head empty the other answers alone; with both, [B, 0]. Raises ValueError
    for shapes that do not fit the labels and for a weight outside [0, 1].
    """
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"blend: {weight}; allowed: 0 to 1")
    if tuned.shape != (len(fast), len(tuned_labels)) or fast.shape != (len(tuned), len(fast_labels)):
        raise ValueError(
            f"probabilities: {tuned.shape} for {len(tuned_labels)} tuned labels, "
            f"{fast.shape} for {len(fast_labels)} fast ones; they must be [B, labels] each"
        )
    known = set(tuned_labels)
    labels = (*tuned_labels, *(label for label in fast_labels if label not in known))
    size = len(known)
    if not tuned_labels or not fast_labels:
        return align(*(tuned, tuned_labels) if tuned_labels else (fast, fast_labels), labels), labels
    mixed = align(fast, fast_labels, labels)
    rest = np.clip(1.0 - mixed[:, size:].sum(axis=1, keepdims=True), 0.0, 1.0)
    mixed[:, :size] = weight * rest * tuned + (1.0 - weight) * mixed[:, :size]
    return mixed / mixed.sum(axis=1, keepdims=True), labels


def losses(tuned: Floats, fast: Floats, targets: Sequence[int] | NDArray[Any]) -> Floats:
    """[N, len(WEIGHTS)] log loss of each row under each weight of the tuned head.

    ``tuned``, ``fast``: [M, C] over the same classes (see :func:`align`), ``targets`` [M] columns; the N rows are
    those whose target is not negative. Raises ValueError for shapes that differ.
    """
    columns = np.asarray(targets, np.int64)
    if tuned.shape != fast.shape or columns.shape != (len(tuned),):
        raise ValueError(
            f"probabilities: {tuned.shape} and {fast.shape} with {columns.shape} targets; "
            "align both heads onto the same classes"
        )
    rows = np.flatnonzero(columns >= 0)
    ours, theirs = tuned[rows, columns[rows], None], fast[rows, columns[rows], None]
    found: Floats = -np.log(np.maximum(WEIGHTS * ours + (1 - WEIGHTS) * theirs, _LEAST))
    return found


def best(total: Floats) -> float:
    """Of WEIGHTS the one with the least of ``total`` [len(WEIGHTS)]; of equal ones that nearest to ½."""
    place = min(range(len(WEIGHTS)), key=lambda i: (round(float(total[i]), 9), abs(WEIGHTS[i] - DEFAULT_BLEND)))
    return float(WEIGHTS[place])


def fit_blend(tuned: Floats, fast: Floats, targets: Sequence[int] | NDArray[Any]) -> float:
    """The weight of the tuned head with the lowest mean of :func:`losses`; ½ without rows."""
    found = losses(tuned, fast, targets)
    return best(found.mean(axis=0)) if len(found) else DEFAULT_BLEND
