from __future__ import annotations

from pathlib import Path

import pytest
import torch

from daemon.bench import update_cost

LIGHT = {"training": {"epochs": 1}, "tune": {"kind": "head"}, "gate": {"insufficient": "promote"}}


@pytest.mark.slow
def test_given_a_history_when_an_update_is_made_then_all_of_it_is_held_and_the_trainer_is_counted(
    tmp_path: Path,
) -> None:
    # Given a history, all of it in the champion's HeadState
    torch.set_num_threads(1)
    history = update_cost.History(tmp_path / "state", 100, 8, LIGHT)
    # When new events are learned
    spent = history.update()
    history.close()
    # Then only those were new, all classes were refitted, and the whole costs at least what the trainer's phases do
    phases = history.updates[0]["cpu_seconds"]
    assert 0 < history.rows(["new"]) <= 8 < history.rows(["refit"]) <= 108
    assert set(update_cost.PHASES) <= set(phases)
    assert spent > sum(phases.values()) > 0


@pytest.mark.chaos
def test_given_two_histories_when_measured_then_the_longer_one_has_more_rows_to_handle() -> None:
    result = update_cost.measure(60, 120, new=8, rounds=1, **LIGHT)
    rows = {row["what"]: row for row in result["rows"]}
    assert 0 < rows["trainer: refit"]["rows_short"] < rows["trainer: refit"]["rows_long"]
    assert result["headline"] == rows["the whole update"]["ratio"] > 0
