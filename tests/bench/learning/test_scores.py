from __future__ import annotations

import numpy as np
import pytest

from daemon.bench.learning.history import History
from daemon.bench.learning.scores import scores


def test_given_answers_after_each_group_when_scored_then_the_values_are_those_of_a_report(history: History) -> None:
    # Given a learner that knows all of the first group after it, and after the second half of that and all of the new
    first = np.array([row.group == "g0" for row in history.holdout])
    half = np.arange(len(first)) % 2 == 0
    right = [first.astype(float), np.where(first, half, 1.0)]
    # When its answers are scored every 8 of 32 events
    found = scores(history, history.holdout, right, 8)
    # Then the matrix says what was lost
    assert found["matrix"] == [[1.0, None], [0.5, 1.0]]
    assert found["final"] == 0.75
    assert found["average_incremental"] == pytest.approx((1 + 0.75) / 2)
    assert found["forgetting"] == 0.5
    assert found["backward_transfer"] == -0.5
    # And any time: nothing before the first end; then the old model, for the classes that have come
    assert [(played, value) for played, value, _ in found["any_time"]["curve"]] == [
        (8, 0.0),
        (16, 1.0),
        (24, 0.5),
        (32, 0.75),
    ]
    # And young classes are those of at most ten events, here all
    assert found["any_time"]["young"] == found["any_time"]["all"] == pytest.approx(2.25 / 4)


def test_given_rows_of_a_class_without_events_when_scored_then_only_group_ends_count_them(history: History) -> None:
    stranger = history.holdout[0]
    unknown = [*history.holdout, type(stranger)(99, stranger.input, "never_seen", "g0")]
    right = [np.ones(len(unknown)), np.ones(len(unknown))]
    for after in right:
        after[-1] = 0
    found = scores(history, unknown, right, 8)
    assert found["any_time"]["curve"][-1][1] == 1.0
    assert found["final"] == pytest.approx(16 / 17)
