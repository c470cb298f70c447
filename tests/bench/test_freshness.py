from __future__ import annotations

from pathlib import Path

import pytest

from daemon.bench import freshness


def test_given_a_jobs_directory_when_looked_at_then_running_and_done_updates_are_told_apart(tmp_path: Path) -> None:
    # Given one update that was done before, and a watch that begins then
    (tmp_path / "000001").mkdir()
    (tmp_path / "000001" / "done.json").touch()
    trained = freshness._Trained(tmp_path)
    assert not trained.look()
    # When another one is under way, and then done
    (tmp_path / "000002").mkdir()
    assert trained.look()
    (tmp_path / "000002" / "done.json").touch()
    assert not trained.look()
    # Then one was done, and a third of the looks found it
    assert trained.done == 1
    assert trained.share == pytest.approx(1 / 3)


@pytest.mark.chaos
def test_given_the_whole_daemon_when_labels_come_then_answers_know_them() -> None:
    # Given the real daemon with a small head
    # When labels come at five a second for four seconds
    result = freshness.measure((5.0,), 4.0, head={"kind": "ranpac", "width": 500})
    # Then each was known at some time, and unheard classes were answered
    row = result["rows"][0]
    assert (row["labels"], row["wrong"]) == (20, 0)
    assert 0 < row["p50 s"] <= row["p99 s"] <= row["slowest s"]
