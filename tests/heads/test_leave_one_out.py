"""The choice of ridge and temperature."""

from __future__ import annotations

import numpy as np

from daemon.heads.leave_one_out import LEAST, MOST, Choice, best_temperature, climb


def test_the_temperature_is_the_one_that_makes_scores_probabilities() -> None:
    # Given scores that are log odds over 8, and labels drawn from those odds
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4_000, 5)) * 2
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row) for row in odds])
    # When the temperature is fitted
    temperature, loss = best_temperature((logits / 8).astype(np.float32), targets)
    # Then it is 8, to a step of the grid, and the loss is that of the odds
    assert 7 < temperature < 9.2
    assert abs(loss + np.log(odds[np.arange(4_000), targets]).mean()) < 0.01


def test_the_climb_finds_the_lowest_loss_on_either_side() -> None:
    # Given a loss with one valley
    for valley in (0.03, 0.5, 100.0, 1e-6):
        asked: list[float] = []

        def judge(ridge: float, valley: float = valley, asked: list[float] = asked) -> Choice:
            asked.append(ridge)
            return Choice(ridge, 1.0, abs(np.log(ridge / valley)))

        # When the ridge is climbed for from 0.03
        best = climb(0.03, judge)
        # Then it is the step nearest to the valley, within the bounds
        nearest = min(max(valley, LEAST), MOST)
        assert nearest / 2 <= best.ridge <= nearest * 2
        assert len(asked) < 14


def test_ridges_that_the_sums_do_not_bear_are_climbed_out_of() -> None:
    # Given sums that bear no ridge below 1, and a loss whose valley lies there
    def judge(ridge: float) -> Choice:
        return Choice(ridge, 1.0, ridge if ridge >= 1 else np.inf)

    # When the climb starts below
    # Then it ends at the first that they bear
    assert climb(0.03, judge).ridge == 0.03 * 2**6
    # And where they bear none of those to choose from, the loss says so
    assert climb(0.03, lambda ridge: Choice(ridge, 1.0, np.inf)).loss == np.inf
