"""The gate: is the candidate at least as good as what is served? Judges arrays, loads no model.

Paired bootstrap (Efron 1979) over rows: the same resampled rows for both, one-sided. Checks:

* ``overall``: the lower bound of candidate - champion is not below -margin;
* ``old_classes``: the same on rows whose class the champion's tuned head knew;
* ``negative_flips``: the share of rows that got worse is not above its maximum (Yan et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from daemon.config.task import Gate
from daemon.tasks.base import Floats
from daemon.update.verdict import Check, Verdict

AT_ONCE = 200
"""Resamples in memory at once."""


def judge(
    champion: Floats,
    candidate: Floats,
    *,
    aggregate: Callable[[Floats], float],
    direction: int,
    row_labels: Sequence[str],
    old_labels: AbstractSet[str],
    config: Gate,
    seed: int,
    validation: tuple[Floats, Floats],
) -> Verdict:
    """``champion``, ``candidate``: [N, k] unit scores on the same holdout; ``validation``: the same pair on
    validation rows, looked at only where the holdout is smaller than ``gate.min_rows``.

    Raises ValueError where the arrays do not belong together.
    """
    if champion.shape != candidate.shape or len(row_labels) != len(champion):
        raise ValueError(f"scores {champion.shape} and {candidate.shape} for {len(row_labels)} rows: not one holdout")
    rows = len(champion)
    before, after = aggregate(champion), aggregate(candidate)
    if not (np.isfinite(champion).all() and np.isfinite(candidate).all()):
        check = Check("finite", False, -1.0, "scores are not finite")
        return Verdict("fail", False, rows, before, after, (check,))
    if rows < config.min_rows:
        check = _insufficient(champion, candidate, validation, aggregate, direction, config)
        return Verdict("insufficient", check.passed, rows, before, after, (check,))
    old = np.array([label in old_labels for label in row_labels], dtype=bool)
    checks = [_non_inferior("overall", champion, candidate, aggregate, direction, config, seed)]
    if old.any():
        checks.append(
            _non_inferior("old_classes", champion[old], candidate[old], aggregate, direction, config, seed + 1)
        )
    checks.append(_flips(champion, candidate, aggregate, direction, config))
    passed = all(check.passed for check in checks)
    return Verdict("pass" if passed else "fail", passed, rows, before, after, tuple(checks))


def _insufficient(
    champion: Floats,
    candidate: Floats,
    validation: tuple[Floats, Floats],
    aggregate: Callable[[Floats], float],
    direction: int,
    config: Gate,
) -> Check:
    few = f"only {len(champion)} holdout rows of {config.min_rows}"
    if config.insufficient != "validation":
        promote = config.insufficient == "promote"
        return Check("insufficient", promote, 0.0, f"{few}: gate.insufficient is {config.insufficient}")
    both = [np.concatenate(pair) for pair in ((champion, validation[0]), (candidate, validation[1]))]
    if len(both[0]) == 0:
        return Check("insufficient", False, 0.0, f"{few} and no validation rows: nothing to judge by")
    difference = direction * (aggregate(both[1]) - aggregate(both[0]))
    word = "not lower" if difference >= 0 else "lower"
    reason = f"{few}: {word} on {len(both[0])} validation and holdout rows ({difference:+.4f})"
    return Check("insufficient", bool(difference >= 0), float(difference), reason)


def _non_inferior(
    name: str,
    champion: Floats,
    candidate: Floats,
    aggregate: Callable[[Floats], float],
    direction: int,
    config: Gate,
    seed: int,
) -> Check:
    differences = np.concatenate(
        list(_resampled(champion, candidate, aggregate, config.resamples, np.random.default_rng(seed)))
    )
    bound = float(np.quantile(direction * differences, 1 - config.confidence))
    margin = bound + config.margin
    seen = direction * (aggregate(candidate) - aggregate(champion))
    reason = (
        f"{name}: {aggregate(champion):.4f} -> {aggregate(candidate):.4f} ({seen:+.4f}) on {len(champion)} rows, "
        f"lower bound {bound:+.4f} {'not below' if margin >= 0 else 'below'} -{config.margin:g}"
    )
    return Check(name, margin >= 0, margin, reason)


def _resampled(
    champion: Floats,
    candidate: Floats,
    aggregate: Callable[[Floats], float],
    resamples: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.float64]]:
    for start in range(0, resamples, AT_ONCE):
        drawn = rng.integers(0, len(champion), (min(AT_ONCE, resamples - start), len(champion)))
        yield np.array([aggregate(candidate[rows]) - aggregate(champion[rows]) for rows in drawn])


def _flips(
    champion: Floats, candidate: Floats, aggregate: Callable[[Floats], float], direction: int, config: Gate
) -> Check:
    def values(scores: Floats) -> Floats:
        """Each row by itself, in the metric where it takes more than one number a row."""
        return scores[:, 0] if scores.shape[1] == 1 else np.array([aggregate(row[None]) for row in scores])

    worse = float((direction * (values(candidate) - values(champion)) < 0).mean())
    margin = config.max_negative_flip_ratio - worse
    reason = f"negative_flips: {worse:.4f} of the rows got worse, at most {config.max_negative_flip_ratio:g} may"
    return Check("negative_flips", margin >= 0, margin, reason)
