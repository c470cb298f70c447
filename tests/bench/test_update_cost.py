from __future__ import annotations

import pytest

from daemon.bench import update_cost


@pytest.mark.slow
def test_an_update_is_made_on_each_history_and_its_trainer_is_counted() -> None:
    # Given two short histories, When an update is made on each
    result = update_cost.measure(60, 120, new=8, rounds=1, training={"epochs": 1}, tune={"kind": "head"})
    # Then the longer one had more to refit, and the whole costs at least what the trainer's phases do
    rows = {row["what"]: row for row in result["rows"]}
    assert 0 < rows["trainer: refit"]["rows_short"] < rows["trainer: refit"]["rows_long"]
    phases = sum(row["cpu_s_long"] for name, row in rows.items() if name.startswith("trainer"))
    assert rows["the whole update"]["cpu_s_long"] > phases > 0
    assert result["headline"] == rows["the whole update"]["ratio"]
