from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from daemon.bench import swap


def answer(version: str, **scores: float) -> Mapping[str, Any]:
    return {"version": version, "scores": scores}


def test_given_each_kind_of_wrong_answer_when_seen_then_it_is_counted() -> None:
    # Given a swap from 1 to 2, whose new version has answered
    watched = swap.Watched({("1", "t"): {"a": 0.7}, ("2", "t"): {"a": 0.6}, ("3", "t"): {"a": 0.5}})
    watched.begin("1", "2")
    watched.saw("t", 0.0, 200, answer("1", a=0.7))
    watched.saw("t", 0.0, 200, answer("2", a=0.6))
    assert watched.swapped.is_set()
    assert watched.since is not None
    # When a late answer, and then one of each kind of wrong ones comes
    watched.saw("t", watched.since - 1, 200, answer("1", a=0.7))
    assert watched.bad == 0
    watched.saw("t", watched.since + 1, 200, answer("1", a=0.7))
    watched.saw("t", watched.since + 1, 200, answer("3", a=0.5))
    watched.saw("t", watched.since + 1, 200, answer("2", a=0.7))
    watched.saw("t", watched.since + 1, 503, {})
    # Then each counts once
    counted = (watched.stale_versions, watched.strange_versions, watched.wrong_scores, watched.failed)
    assert counted == (1, 1, 1, 1)
    assert (watched.bad, watched.requests) == (4, 7)


@pytest.mark.chaos
def test_given_the_real_predictor_when_the_alias_moves_then_no_request_notices() -> None:
    result = swap.measure(2, versions=2, clients=2)
    assert result["headline"] == 0
    assert result["rows"][0]["count"] > 4
    assert result["swaps"] == 2
