"""The gate: is the candidate at least as good as what is served? Judges arrays, loads no model.

Paired bootstrap (Efron 1979) over rows: the same resampled rows for both, one-sided bounds at
``gate.confidence``. Checks:

* ``overall``: candidate - champion is not below -margin;
* ``old_classes``: the same, with a margin of its own, on rows whose class the champion's tuned head knew;
* ``classes``: no class with rows enough has shown to lose more than its margin (:mod:`daemon.update.floors`);
* ``negative_flips``: the share of rows that got worse is not above its maximum (Yan et al. 2021);
* ``gain``: on all rows kept from training the candidate is better by ``gate.min_gain_ratio``, and with a probability of
  ``gate.gain_confidence`` better at all (of ``settled_confidence`` where it knows no class that the champion's tuned
  head did not: what is tuned on known classes may be worse for those to come). Where it is not, the verdict stays what
  it is, and nothing moves: a swap costs every consumer of the answers more than it brings.

*Rows kept from training* are those of the holdout, those of validation, and train rows that the update leaves out and
that both fast heads give up for the judgement (:mod:`daemon.update.aside`).

The first two have three ends: the lower bound clears -margin (passed), the upper bound does not reach it
(failed), or -margin lies between them: the holdout is too small to say. Then ``gate.insufficient`` decides,
as it does below ``gate.min_rows``; docs/explanation/decisions tells why.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np

from daemon.config.task import Gate
from daemon.tasks.base import Floats
from daemon.update.floors import class_floors
from daemon.update.pair import Pair, Scale
from daemon.update.verdict import Check, Verdict


def judge(
    holdout: Pair,
    validation: Pair,
    *,
    aggregate: Callable[[Floats], float],
    direction: int,
    old_labels: AbstractSet[str],
    grown: bool,
    config: Gate,
    seed: int,
) -> Verdict:
    """``validation``: the other rows kept from training; they tell of the gain, and decide where the holdout is too
    small to say. ``grown``: the candidate was trained on classes beside ``old_labels``. ``direction``: 1 where more is
    better, else -1."""
    scale = Scale(aggregate, direction, config.resamples)
    bench = _Bench(scale, config, seed)
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
        floors = class_floors(holdout, scale, config, seed + 2)
        checks += [*([floors] if floors else []), bench.flips(holdout)]
    refuted = any(check.conclusive and not check.passed for check in checks)
    open_ = any(not check.conclusive for check in checks)
    better = None
    if not refuted and config.min_gain_ratio and config.insufficient != "promote" and len(holdout) + len(validation):
        kept = holdout + validation
        better = scale.better(kept, seed + 3)
        checks.append(bench.gain(kept, better, config.gain_confidence if grown else config.settled_confidence))
    return Verdict(
        "fail" if refuted else "insufficient" if open_ else "pass",
        all(check.passed for check in checks),
        len(holdout),
        before,
        after,
        tuple(checks),
        None if open_ and config.insufficient == "reject" else better,
    )


@dataclass(frozen=True, slots=True)
class _Bench:
    scale: Scale
    config: Gate
    seed: int

    def non_inferior(
        self, name: str, holdout: Pair, validation: Pair, *, margin: float, allowance: float, stream: int = 0
    ) -> Check:
        """``allowance``: how much lower the point estimate may be where the bounds cannot tell."""
        drawn = self.scale.bootstrap(holdout, self.seed + stream)
        lower, upper = (float(q) for q in np.quantile(drawn, [1 - self.config.confidence, self.config.confidence]))
        limit, seen = -margin, self.scale.aggregate
        said = (
            f"{name}: {seen(holdout.champion):.4f} -> {seen(holdout.candidate):.4f} "
            f"({self.scale.difference(holdout):+.4f}) on {len(holdout)} rows, "
        )
        if lower >= limit:
            return Check(name, True, lower - limit, f"{said}lower bound {lower:+.4f} not below {limit:g}")
        if upper < limit:
            return Check(name, False, upper - limit, f"{said}upper bound {upper:+.4f} below {limit:g}")
        unsure = f"{said}too few to say ({lower:+.4f} to {upper:+.4f} around {limit:g})"
        return self.by_policy(name, holdout + validation, unsure, allowance=allowance)

    def by_policy(self, name: str, both: Pair, why: str, *, allowance: float) -> Check:
        """``both``: all rows kept from training; the candidate may be lower by ``allowance`` on them."""
        made = Check(name, self.config.insufficient == "promote", 0.0, "", conclusive=False)
        if self.config.insufficient != "validation":
            return replace(made, reason=f"{why}: gate.insufficient is {self.config.insufficient}")
        if not len(both):
            return replace(made, reason=f"{why} and no other row kept from training: nothing to judge by")
        difference = self.scale.difference(both)
        passed = bool(difference >= -allowance)
        word = f"{'not ' if passed else ''}lower" + (f" by more than {allowance:g}" if allowance else "")
        reason = f"{why}: {word} on {len(both)} rows kept from training ({difference:+.4f})"
        return replace(made, passed=passed, margin=difference + allowance, reason=reason)

    def gain(self, both: Pair, better: float, confidence: float) -> Check:
        """Worth a swap? No part of the decision: an equal candidate is fit to be served, and nothing moves for it."""
        least = self.config.min_gain_ratio
        difference = self.scale.difference(both)
        passed = bool(difference >= least and better >= confidence)
        reason = (
            f"gain: {difference:+.4f} on {len(both)} rows kept from training ({least:g} is asked), better with a "
            f"probability of {better:.2f} ({confidence:g} is asked): "
            + ("enough" if passed else "what is served is as good")
        )
        return Check("gain", passed, difference - least, reason, conclusive=False)

    def flips(self, pair: Pair) -> Check:
        worse = self.scale.worse(pair)
        most = self.config.max_negative_flip_ratio
        reason = f"negative_flips: {worse:.4f} of the rows got worse, at most {most:g} may"
        return Check("negative_flips", worse <= most, most - worse, reason)
