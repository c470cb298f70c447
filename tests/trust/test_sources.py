"""Trust per source: learnt from gaps, compared with chance and with the other sources."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.trust.belief import BINS, CONTRADICTED, SURE, Belief
from daemon.trust.finding import find
from daemon.trust.sources import MAX_SOURCES, OTHERS, Sources

CHANCE = np.array([0.1, 0, 0, 0, 0, 0, 0, 0.9])
"""Of ten classes all but the right one are contradicted for sure."""


def told(sources: Sources, source: str, right: int, wrong: int) -> None:
    for number in range(right + wrong):
        sources.see(source, SURE if number < wrong else 0, CHANCE)


def test_given_a_careless_source_beside_a_careful_one_then_it_alone_is_distrusted() -> None:
    sources = Sources(0.9)
    told(sources, "careful", 300, 3)
    told(sources, "careless", 240, 60)
    # Then its contradicted labels are guesses, and those that agree are not
    wrong = sources.wrong("careless")
    assert wrong is not None
    assert wrong[SURE] > 0.9 > 0.05 > wrong[0]
    assert (np.diff(wrong) >= 0).all()
    assert sources.wrong("careful") is None
    rows = {row.source: row for row in sources.standing()}
    assert rows["careless"].lower < 0.8 < rows["careless"].upper < rows["careful"].lower
    assert rows["careless"].distrusted


def test_given_one_source_then_nobody_is_distrusted_however_wrong_it_is() -> None:
    sources = Sources(0.9)
    told(sources, "only", 10, 290)
    assert sources.wrong("only") is None
    assert not sources.several


def test_given_a_source_that_has_become_better_then_it_is_trusted_again() -> None:
    sources = Sources(0.9)
    told(sources, "careful", 300, 3)
    told(sources, "once careless", 2000, 2000)
    assert sources.wrong("once careless") is not None
    told(sources, "once careless", 5000, 0)
    assert sources.wrong("once careless") is None


def test_given_few_labels_then_a_source_is_not_distrusted_yet() -> None:
    sources = Sources(0.9)
    told(sources, "careful", 300, 3)
    told(sources, "new", 3, 1)
    assert sources.wrong("new") is None


def test_given_two_sources_that_disagree_on_inputs_then_both_lose_trust() -> None:
    sources = Sources(0.9)
    for _ in range(50):
        sources.compare("a", "b", agree=False)
    a, b = sources.standing()
    assert (a.mean, a.labels) == (b.mean, b.labels)
    assert a.mean < 0.1
    assert [row.distrusted for row in (a, b)] == [False, False]


def test_given_pardons_then_trust_rises() -> None:
    belief = Belief()
    for _ in range(20):
        belief.see(SURE, CHANCE)
    before = belief.trust()[1]
    for _ in range(10):
        belief.pardon(SURE)
    assert belief.trust()[1] > before + 0.3
    # And a label that was never counted pardons nothing
    fresh = Belief()
    fresh.pardon(SURE)
    assert fresh.seen.tolist() == [0.0] * BINS


def test_given_more_sources_than_are_kept_then_the_others_are_one() -> None:
    sources = Sources(0.9)
    for number in range(MAX_SOURCES + 5):
        sources.see(f"s{number}", 0, CHANCE)
    assert len(sources.standing()) == MAX_SOURCES + 1
    assert sources.named("s70") == OTHERS
    # And they are the same after they were written and read
    again = Sources(0.9)
    again.load(sources.dump())
    assert again.standing() == sources.standing()


def test_given_a_belief_of_another_shape_when_loaded_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        Belief.load({"seen": [1.0], "chance": [1.0], "labels": 1})


def test_given_a_young_class_when_asked_then_there_is_no_finding() -> None:
    odds = np.array([0.89, 0.1, 0.01], np.float32)
    labels, counts = ("a", "b", "c"), {"a": 10, "b": 12, "c": 3}
    assert find("c", odds, labels, counts, 10) is None
    assert find("unheard of", odds, labels, counts, 10) is None
    # nor where the model's answer is a young class
    assert find("a", odds[::-1].copy(), labels, counts, 10) is None
    # nor with one grown class alone
    assert find("a", odds, labels, {"a": 10, "b": 1, "c": 1}, 10) is None
    found = find("b", odds, labels, counts, 10)
    assert found is not None
    assert (found.place, found.answer, round(found.odds, 1), found.examples) == (CONTRADICTED, "a", 8.9, 10)
    assert found.chance.tolist() == [0.5, 0, 0.5, 0, 0, 0, 0, 0]
