"""The gate: is the candidate at least as good as what is served? Judges arrays, loads no model.

Paired bootstrap (Efron 1979) over rows: the same resampled rows for both, one-sided bounds at
``gate.confidence``. Checks:

* ``overall``: candidate - champion is not below -margin;
* ``old_classes``: the same, with a margin of its own, on rows whose class the champion's tuned head knew;
* ``negative_flips``: the share of rows that got worse is not above its maximum (Yan et al. 2021).

The first two have three ends: the lower bound clears -margin (passed), the upper bound does not reach it
(failed), or -margin lies between them: the holdout is too small to say. Then ``gate.insufficient`` decides,
as it does below ``gate.min_rows``; docs/explanation/decisions tells why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daemon.config.task import Gate
from daemon.tasks.base import Floats
from daemon.update.verdict import Check, Verdict

AT_ONCE = 200
"""Resamples in memory at once."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Unit scores [N, k] of both models on the same rows, each with its true class ("" where it has none).

    Raises ValueError where they do not belong together.
    """

    champion: Floats
    candidate: Floats
    labels: Sequence[str]

    def __post_init__(self) -> None:
        if self.champion.shape != self.candidate.shape or len(self.labels) != len(self.champion):
            raise ValueError(
                f"scores {self.champion.shape} and {self.candidate.shape} for {len(self.labels)} rows: not one set"
            )

    def __len__(self) -> int:
        return len(self.champion)

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.champion).all() and np.isfinite(self.candidate).all())

    def of(self, classes: AbstractSet[str]) -> Pair:
        kept = np.array([label in classes for label in self.labels], dtype=bool)
        labels = [label for label, keep in zip(self.labels, kept, strict=True) if keep]
        return Pair(self.champion[kept], self.candidate[kept], labels)

    def __add__(self, other: Pair) -> Pair:
        return Pair(
            np.concatenate([self.champion, other.champion]),
            np.concatenate([self.candidate, other.candidate]),
            [*self.labels, *other.labels],
        )


def judge(
    holdout: Pair,
    validation: Pair,
    *,
    aggregate: Callable[[Floats], float],
    direction: int,
    old_labels: AbstractSet[str],
    config: Gate,
    seed: int,
) -> Verdict:
    """``validation`` is looked at only where the holdout is too small to say. ``direction``: 1 where more is
    better, else -1."""
    bench = _Bench(aggregate, direction, config, seed)
    before, after = aggregate(holdout.champion), aggregate(holdout.candidate)
    if not holdout.finite:
        checks = [Check("finite", False, -1.0, "scores are not finite")]
    elif len(holdout) < config.min_rows:
        few = f"only {len(holdout)} holdout rows of {config.min_rows}"
        checks = [bench.by_policy("overall", holdout + validation, few, allowance=0.0)]
    else:
        checks = [bench.non_inferior("overall", holdout, validation, margin=config.margin, allowance=0.0)]
        old, margin = holdout.of(old_labels), config.old_classes_margin
        if len(old):
            known = validation.of(old_labels)
            checks.append(bench.non_inferior("old_classes", old, known, margin=margin, allowance=margin, stream=1))
        checks.append(bench.flips(holdout))
    refuted = any(check.conclusive and not check.passed for check in checks)
    open_ = any(not check.conclusive for check in checks)
    return Verdict(
        "fail" if refuted else "insufficient" if open_ else "pass",
        all(check.passed for check in checks),
        len(holdout),
        before,
        after,
        tuple(checks),
    )


@dataclass(frozen=True, slots=True)
class _Bench:
    aggregate: Callable[[Floats], float]
    direction: int
    config: Gate
    seed: int

    def non_inferior(
        self, name: str, holdout: Pair, validation: Pair, *, margin: float, allowance: float, stream: int = 0
    ) -> Check:
        """``allowance``: how much lower the point estimate may be where the bounds cannot tell."""
        lower, upper = self._bounds(holdout, stream)
        limit = -margin
        said = (
            f"{name}: {self.aggregate(holdout.champion):.4f} -> {self.aggregate(holdout.candidate):.4f} "
            f"({self._difference(holdout):+.4f}) on {len(holdout)} rows, "
        )
        if lower >= limit:
            return Check(name, True, lower - limit, f"{said}lower bound {lower:+.4f} not below {limit:g}")
        if upper < limit:
            return Check(name, False, upper - limit, f"{said}upper bound {upper:+.4f} below {limit:g}")
        unsure = f"{said}too few to say ({lower:+.4f} to {upper:+.4f} around {limit:g})"
        return self.by_policy(name, holdout + validation, unsure, allowance=allowance)

    def by_policy(self, name: str, both: Pair, why: str, *, allowance: float) -> Check:
        """``both``: validation and holdout rows; the candidate may be lower by ``allowance`` on them."""
        made = Check(name, self.config.insufficient == "promote", 0.0, "", conclusive=False)
        if self.config.insufficient != "validation":
            return replace(made, reason=f"{why}: gate.insufficient is {self.config.insufficient}")
        if not len(both):
            return replace(made, reason=f"{why} and no validation rows: nothing to judge by")
        difference = self._difference(both)
        passed = bool(difference >= -allowance)
        word = f"{'not ' if passed else ''}lower" + (f" by more than {allowance:g}" if allowance else "")
        reason = f"{why}: {word} on {len(both)} validation and holdout rows ({difference:+.4f})"
        return replace(made, passed=passed, margin=difference + allowance, reason=reason)

    def flips(self, pair: Pair) -> Check:
        worse = float((self.direction * (self._each(pair.candidate) - self._each(pair.champion)) < 0).mean())
        most = self.config.max_negative_flip_ratio
        reason = f"negative_flips: {worse:.4f} of the rows got worse, at most {most:g} may"
        return Check("negative_flips", worse <= most, most - worse, reason)

    def _each(self, scores: Floats) -> Floats:
        """Each row by itself, in the metric where it takes more than one number a row."""
        return scores[:, 0] if scores.shape[1] == 1 else np.array([self.aggregate(row[None]) for row in scores])

    def _difference(self, pair: Pair) -> float:
        return self.direction * float(self.aggregate(pair.candidate) - self.aggregate(pair.champion))

    def _bounds(self, pair: Pair, stream: int) -> tuple[float, float]:
        rng = np.random.default_rng(self.seed + stream)
        found = self.direction * np.concatenate(list(self._resampled(pair, rng)))
        lower, upper = np.quantile(found, [1 - self.config.confidence, self.config.confidence])
        return float(lower), float(upper)

    def _resampled(self, pair: Pair, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        for start in range(0, self.config.resamples, AT_ONCE):
            drawn = rng.integers(0, len(pair), (min(AT_ONCE, self.config.resamples - start), len(pair)))
            yield np.array(
                [self.aggregate(pair.candidate[rows]) - self.aggregate(pair.champion[rows]) for rows in drawn]
            )
