"""The gate on simulated holdouts: what must pass, what must fail, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemon.config.task import Gate
from daemon.tasks.base import Floats
from daemon.tasks.metrics import mean_score
from daemon.update.gate import judge
from daemon.update.pair import Pair
from daemon.update.verdict import Verdict

EMPTY = (np.zeros((0, 1)), np.zeros((0, 1)))


def decide(
    champion: Floats,
    candidate: Floats,
    *,
    labels: list[str] | None = None,
    validation: tuple[Floats, Floats] = EMPTY,
    validation_labels: list[str] | None = None,
    seed: int = 0,
    aggregate: Any = mean_score,
    direction: int = 1,
    grown: bool = True,
    **config: Any,
) -> Verdict:
    return judge(
        Pair(champion, candidate, labels or ["old"] * len(champion)),
        Pair(*validation, validation_labels or ["old"] * len(validation[0])),
        aggregate=aggregate,
        direction=direction,
        old_labels=frozenset({"old"}),
        grown=grown,
        config=Gate(**{"resamples": 200, "min_gain_ratio": 0.0, **config}),
        seed=seed,
    )


def right(ratio: float, rows: int, seed: int) -> Floats:
    return (np.random.default_rng(seed).random((rows, 1)) < ratio).astype(np.float64)


def flipped(scores: Floats, share: float) -> Floats:
    """The same scores, the first ``share`` of the right answers made wrong."""
    changed = scores.copy()
    hits = np.flatnonzero(scores[:, 0])
    changed[hits[: round(share * len(scores))]] = 0
    return changed


def check(verdict: Verdict, name: str) -> Any:
    return next(check for check in verdict.checks if check.name == name)


@pytest.mark.parametrize("rows", [100, 500, 2000])
def test_a_candidate_that_changed_nothing_always_passes(rows: int) -> None:
    for seed in range(20):
        scores = right(0.5 + seed / 50, rows, seed)
        verdict = decide(scores, scores.copy(), seed=seed)
        assert (verdict.decision, verdict.promote) == ("pass", True)
        assert check(verdict, "overall").margin == pytest.approx(0.01)


@pytest.mark.parametrize("rows", [100, 500, 2000])
def test_a_candidate_that_is_clearly_worse_always_fails(rows: int) -> None:
    for seed in range(20):
        champion = right(0.9, rows, seed)
        verdict = decide(champion, flipped(champion, 0.1), seed=seed)
        assert (verdict.decision, verdict.promote) == ("fail", False)
        assert not check(verdict, "overall").passed
        assert not check(verdict, "negative_flips").passed


def test_a_candidate_that_is_clearly_better_always_passes() -> None:
    for seed in range(20):
        candidate = right(0.9, 500, seed)
        verdict = decide(flipped(candidate, 0.1), candidate, seed=seed)
        assert (verdict.decision, verdict.promote) == ("pass", True)


def test_the_bound_is_wrong_about_as_often_as_it_says() -> None:
    # Given candidates whose true loss is exactly the margin: 6% of rows worse, 5% better
    passed = 0
    for seed in range(300):
        kind = np.random.default_rng(seed).random((1000, 1))
        champion = np.where(kind < 0.05, 0.0, 1.0)
        candidate = np.where((kind >= 0.05) & (kind < 0.11), 0.0, 1.0)
        found = check(decide(champion, candidate, seed=seed, margin=0.01, insufficient="reject"), "overall")
        passed += found.passed
    # Then about 5% of them slip through, at 95% confidence
    assert 3 <= passed <= 30


def test_old_classes_are_judged_by_themselves() -> None:
    # Given a candidate that gains on new classes and loses on old ones
    labels = ["old"] * 200 + ["new"] * 800
    champion = np.concatenate([np.ones((200, 1)), np.zeros((800, 1))])
    candidate = np.concatenate([flipped(np.ones((200, 1)), 0.1), np.ones((800, 1))])
    verdict = decide(champion, candidate, labels=labels)
    # Then overall is better, and it fails all the same
    assert check(verdict, "overall").passed
    assert check(verdict, "negative_flips").passed
    assert not check(verdict, "old_classes").passed
    assert not verdict.promote
    assert "old_classes: 1.0000 -> 0.9000" in check(verdict, "old_classes").reason


def level(rows: int, worse: int, better: int) -> tuple[Floats, Floats]:
    """Champion and candidate that agree but for ``worse`` and ``better`` rows; half of the rest is right."""
    champion = np.array([1.0] * worse + [0.0] * better + [1.0, 0.0] * (rows // 2), float)[:rows, None]
    candidate = champion.copy()
    candidate[:worse], candidate[worse : worse + better] = 0.0, 1.0
    return champion, candidate


def test_a_holdout_too_small_to_say_is_no_refutation() -> None:
    # Given an equal candidate on so few rows that the bound falls below the margin by chance alone
    champion, candidate = level(170, worse=4, better=4)
    verdict = decide(champion, candidate)
    # Then it is not called worse, and validation and holdout together decide
    found = check(verdict, "overall")
    assert (verdict.decision, verdict.promote, found.conclusive) == ("insufficient", True, False)
    assert "too few to say" in found.reason
    # And on ten times the rows the same candidate passes by itself
    assert decide(*level(5000, worse=40, better=40)).decision == "pass"


@pytest.mark.parametrize(("policy", "promote"), [("validation", False), ("reject", False), ("promote", True)])
def test_what_cannot_be_told_is_decided_by_policy(policy: str, promote: bool) -> None:
    # Given a candidate a little lower, on rows too few to say
    verdict = decide(*level(170, worse=5, better=4), insufficient=policy)
    assert (verdict.decision, verdict.promote) == ("insufficient", promote)


@pytest.mark.parametrize(("lost", "promote"), [(3, True), (7, False)])
def test_old_classes_may_lose_the_margin_where_nobody_can_tell(lost: int, promote: bool) -> None:
    # Given a gain on new classes and, on rows too few to say, a loss on old ones
    old_before, old_after = level(200, worse=lost + 2, better=2)
    labels = ["old"] * 200 + ["new"] * 200
    champion = np.concatenate([old_before, np.zeros((200, 1))])
    candidate = np.concatenate([old_after, np.ones((200, 1))])
    verdict = decide(champion, candidate, labels=labels)
    # Then a loss within the margin is let pass, a larger one is not
    found = check(verdict, "old_classes")
    assert (found.conclusive, found.passed, verdict.promote) == (False, promote, promote)


def test_one_refuted_check_is_a_failure_whatever_else_is_open() -> None:
    # Given level means on too few rows, and more flips than are allowed
    verdict = decide(*level(200, worse=20, better=20), insufficient="promote")
    assert not check(verdict, "overall").conclusive
    assert (verdict.decision, verdict.promote) == ("fail", False)


def test_flips_are_bounded_even_where_the_mean_is_level() -> None:
    champion = np.concatenate([np.ones((100, 1)), np.zeros((100, 1)), np.ones((800, 1))])
    candidate = np.concatenate([np.zeros((100, 1)), np.ones((100, 1)), np.ones((800, 1))])
    verdict = decide(champion, candidate, margin=0.5)
    assert check(verdict, "overall").passed
    assert check(verdict, "negative_flips").margin == pytest.approx(-0.05)
    assert not verdict.promote


def test_the_first_candidate_passes_against_nothing() -> None:
    verdict = decide(np.zeros((100, 1)), right(0.3, 100, 0), labels=["new"] * 100)
    assert verdict.promote
    assert {found.name for found in verdict.checks} == {"overall", "classes", "negative_flips"}


@pytest.mark.parametrize("direction", [1, -1])
def test_less_is_more_where_the_metric_says_so(direction: int) -> None:
    # Given errors, of which the candidate makes larger ones
    low, high = np.full((200, 1), 0.1), np.full((200, 1), 0.5)
    verdict = decide(low, high, direction=direction)
    assert verdict.promote == (direction == 1)
    assert check(verdict, "negative_flips").passed == (direction == 1)


def test_a_metric_of_several_counts_a_row_is_resampled_whole() -> None:
    def f1(units: Floats) -> float:
        hits, given, true = units.sum(0)
        return float(2 * hits / (given + true)) if given + true else 0.0

    good = np.tile([2.0, 2.0, 2.0], (200, 1))
    # A candidate that names more, wrongly: its counts are larger and its answers worse
    worse = np.tile([2.0, 6.0, 2.0], (200, 1))
    assert decide(good, good, aggregate=f1).promote
    verdict = decide(good, worse, aggregate=f1)
    assert not check(verdict, "overall").passed
    assert not check(verdict, "negative_flips").passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [5, 200])
def test_scores_that_are_not_finite_fail(value: float, rows: int) -> None:
    champion = np.ones((rows, 1))
    candidate = champion.copy()
    candidate[3] = value
    verdict = decide(champion, candidate, insufficient="promote")
    assert (verdict.decision, verdict.promote) == ("fail", False)


@pytest.mark.parametrize(
    ("policy", "candidate", "promote"),
    [
        ("validation", 1.0, True),
        ("validation", 0.0, False),
        ("reject", 1.0, False),
        ("promote", 0.0, True),
    ],
)
def test_too_few_rows_are_said_and_decided_by_policy(policy: str, candidate: float, promote: bool) -> None:
    # Given 99 level holdout rows of 100, and validation rows that differ
    level = np.ones((99, 1))
    validation = (np.full((10, 1), 0.5), np.full((10, 1), candidate))
    verdict = decide(level, level, validation=validation, insufficient=policy)
    assert (verdict.decision, verdict.promote, verdict.rows) == ("insufficient", promote, 99)
    assert "only 99 holdout rows of 100" in verdict.reasons[0]


def test_validation_and_holdout_weigh_by_their_rows() -> None:
    # Given a gain on 1 holdout row and a loss on 2 validation rows
    validation = (np.ones((2, 1)), np.zeros((2, 1)))
    verdict = decide(np.zeros((1, 1)), np.ones((1, 1)), validation=validation)
    assert (verdict.decision, verdict.promote) == ("insufficient", False)


def test_nothing_to_judge_by_promotes_nothing() -> None:
    assert not decide(*EMPTY).promote


def test_damaged_validation_promotes_nothing() -> None:
    level = np.ones((5, 1))
    assert not decide(level, level, validation=(level, np.full((5, 1), np.nan))).promote


def test_the_same_seed_says_the_same() -> None:
    champion, candidate = right(0.8, 300, 1), right(0.8, 300, 2)
    assert decide(champion, candidate, seed=4) == decide(champion, candidate, seed=4)


def test_arrays_of_different_holdouts_are_refused() -> None:
    with pytest.raises(ValueError, match="not one set"):
        decide(np.ones((5, 1)), np.ones((6, 1)))


@pytest.mark.parametrize(("gained", "promoted"), [(0, False), (2, False), (4, False), (10, True)])
def test_where_a_gain_is_asked_for_an_equal_candidate_passes_and_nothing_moves(gained: int, promoted: bool) -> None:
    # Given a candidate that has some more of a thousand rows right, and a gate that asks for half a point
    champion = right(0.8, 1000, 1)
    candidate = champion.copy()
    candidate[np.flatnonzero(candidate[:, 0] == 0)[:gained]] = 1
    # When it is judged
    verdict = decide(champion, candidate, min_gain_ratio=0.005)
    # Then it is fit to be served, and served only where it is worth a swap
    assert (verdict.decision, verdict.promote) == ("pass", promoted)
    word = "enough" if promoted else "what is served is as good"
    reason = check(verdict, "gain").reason
    assert reason.startswith(f"gain: {gained / 1000:+.4f} on 1000 rows kept from training (0.005 is asked), better ")
    assert reason.endswith(f"(0.9 is asked): {word}")


@pytest.mark.parametrize(("won", "lost", "promoted"), [(2, 0, False), (3, 0, True), (6, 3, False), (12, 4, True)])
def test_a_gain_on_few_rows_must_be_more_than_chance(won: int, lost: int, promoted: bool) -> None:
    # Given a candidate that has some rows of 90 right where the champion is wrong, and the other way round
    champion = np.concatenate([np.zeros(won), np.ones(lost), np.ones(90 - won - lost)])[:, None]
    candidate = champion.copy()
    candidate[: won + lost] = 1 - candidate[: won + lost]
    # When it is judged, then it is promoted where chance explains it in less than a tenth of the cases
    assert decide(champion, candidate, min_gain_ratio=0.005, max_negative_flip_ratio=0.1).promote is promoted


def test_where_no_class_is_new_less_certainty_is_asked_for() -> None:
    # Given a candidate that is better with a probability between the two
    champion = np.concatenate([np.zeros((80, 1)), np.ones((20, 1))])
    candidate = champion.copy()
    candidate[:9], candidate[90:95] = 1, 0
    # When no class came since the champion was trained, then it is promoted, else not
    settled, grown = (
        decide(champion, candidate, min_gain_ratio=0.005, max_negative_flip_ratio=0.1, resamples=5000, grown=grown)
        for grown in (False, True)
    )
    assert (settled.promote, grown.promote) == (True, False)
    assert "(0.75 is asked)" in check(settled, "gain").reason
    # And chance is no gain there either
    candidate[90:98] = 0
    assert not decide(
        champion, candidate, min_gain_ratio=0.005, max_negative_flip_ratio=0.1, resamples=5000, grown=False
    ).promote


def test_a_gain_is_told_by_all_rows_kept_from_training() -> None:
    # Given a holdout on which nothing changed, and other rows on which the candidate is better, or nothing changed
    champion, others = right(0.9, 400, 1), right(0.5, 100, 2)
    for validation, promoted in ((np.ones((100, 1)), True), (others, False)):
        verdict = decide(champion, champion, validation=(others, validation), min_gain_ratio=0.005)
        assert "on 500 rows kept from training" in check(verdict, "gain").reason
        assert verdict.promote is promoted


def test_a_gain_is_not_asked_of_what_was_refuted_nor_under_the_policy_to_promote() -> None:
    # Given a candidate that is much worse, and an equal one on a small holdout under insufficient: promote
    champion = right(0.9, 400, 1)
    # Then neither verdict speaks of a gain
    worse = decide(champion, flipped(champion, 0.3), min_gain_ratio=0.005)
    few = decide(champion[:20], champion[:20], min_gain_ratio=0.005, insufficient="promote")
    assert {one.name for verdict in (worse, few) for one in verdict.checks}.isdisjoint({"gain"})
    assert (worse.promote, few.promote) == (False, True)


@pytest.mark.parametrize(
    ("won", "lost", "better", "unsure"),
    [(6, 4, 0.68, True), (3, 3, 0.42, True), (2, 8, 0.02, False), (20, 0, 1.0, False)],
    ids=["better, not surely", "level", "worse", "surely better"],
)
def test_a_verdict_tells_whether_more_rows_may_show_a_gain(won: int, lost: int, better: float, unsure: bool) -> None:
    # Given a candidate that on eighty rows won some and lost some
    champion, candidate = level(80, worse=lost, better=won)
    verdict = decide(champion, candidate, min_gain_ratio=0.005, max_negative_flip_ratio=0.2)
    # Then it may be judged again where it was not promoted and may well be better
    assert verdict.unsure is unsure
    assert verdict.better == pytest.approx(better, abs=0.1)


def test_what_was_refuted_or_not_asked_is_not_unsure() -> None:
    # Given a candidate that is better on the whole and turns too many right answers into wrong ones
    verdict = decide(*level(200, worse=20, better=30), min_gain_ratio=0.005)
    assert (verdict.decision, verdict.better, verdict.unsure) == ("fail", None, False)
    # And a gate that asks for no gain
    assert not decide(*level(170, worse=5, better=4)).unsure
    # And one that rejects what the holdout is too small to tell: rows beside it change nothing there
    for policy, unsure in (("validation", True), ("reject", False)):
        few = decide(*level(80, worse=4, better=6), min_gain_ratio=0.005, insufficient=policy)
        assert few.unsure is unsure
