"""Which classes a refit's rows say that the tuned head has seen too little of."""

from __future__ import annotations

from daemon.training.refit import SETTLED, young_classes
from tests.training import jobs


def test_classes_of_few_examples_are_young() -> None:
    # Given rows of two classes, one of them seen seldom, and a third one without any
    rows = [*jobs.rows(["card"], SETTLED), *jobs.rows(["fee"], SETTLED - 1)]
    # Then the seldom one is young, and the one that is not there
    assert young_classes(["card", "fee", "limit"], rows, 4000) == {"fee", "limit"}


def test_among_so_many_classes_that_none_has_ten_in_the_sample_those_with_their_share_are_not_young() -> None:
    # Given as many rows as there may be, of which each class has three, or less where it has no more
    rows = [*jobs.rows(["card", "fee"], 4), *jobs.rows(["limit"], 1)]
    # Then only the class that does not fill its share is young
    assert young_classes(["card", "fee", "limit"], rows, 9) == {"limit"}
