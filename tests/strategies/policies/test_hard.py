"""Hard examples, and what all policies hold that choose by the parent."""

from __future__ import annotations

import pytest
import torch

from strategies.policies.chooser import Chooser
from strategies.policies.hard import Hard
from strategies.policies.herding import Herding
from tests.strategies.policies.around import Around, example

ROWS = torch.eye(4)
POOL = [example(f"e{i}", "ab"[i % 2]) for i in range(40)]
LOSSES = {f"e{i}": float(i) for i in range(40)}


def around(old_classes: int = 2, seed: int = 0) -> Around:
    return Around(POOL, [], ROWS, labels=["a", "b"], old_classes=old_classes, losses=LOSSES, seed=seed)


def test_the_highest_losses_are_chosen_but_for_the_very_highest() -> None:
    # Given losses 0 to 39, When ten are chosen, half of them hard and a tenth of the candidates skipped
    chosen = Hard(candidates_factor=4, skip_ratio=0.1).choose(around(), 10)
    # Then the five highest below the four skipped, and five others of both classes
    assert [e.event_id for e in chosen[:5]] == ["e35", "e34", "e33", "e32", "e31"]
    assert len({e.event_id for e in chosen}) == 10
    assert sorted(e.label for e in chosen[5:]) in (["a", "a", "a", "b", "b"], ["a", "a", "b", "b", "b"])


def test_what_the_parent_does_not_know_is_hardest() -> None:
    # Given events of a class that came after the parent, Then they go first, and the parent is not asked of their loss
    chosen = Hard(candidates_factor=4, share_ratio=1.0).choose(around(old_classes=1), 10)
    assert {e.label for e in chosen} == {"b"}


@pytest.mark.parametrize("policy", [Hard, Herding])
def test_the_parent_sees_no_more_than_the_candidates(policy: type[Chooser]) -> None:
    # Given a pool that other strategies made larger, Then at most candidates_factor x n of it are looked at
    here = around()
    chosen = policy(candidates_factor=2).choose(here, 8)
    assert here.table.asked == 16
    assert len(chosen) == len({e.event_id for e in chosen}) == 8


@pytest.mark.parametrize("policy", [Hard, Herding])
def test_with_nothing_to_choose_by_or_from_the_parent_is_not_asked(policy: type[Chooser]) -> None:
    # Given a base version as parent, or no more candidates than wanted, Then classes share and no text is encoded
    for here, wanted in ((around(old_classes=0), 8), (around(), 40)):
        chosen = policy().choose(here, wanted)
        assert here.table.asked == 0
        assert [e.label for e in chosen].count("a") == wanted // 2
        assert len(chosen) == wanted


@pytest.mark.parametrize("policy", [Hard, Herding])
def test_the_same_seed_chooses_the_same(policy: type[Chooser]) -> None:
    made = policy(candidates_factor=2)
    assert made.choose(around(seed=5), 8) == made.choose(around(seed=5), 8)
    assert made.choose(around(seed=5), 8) != made.choose(around(seed=6), 8)
