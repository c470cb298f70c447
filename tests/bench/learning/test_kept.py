from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.bench.learning import kept, run
from daemon.bench.learning.kept import Kept
from daemon.bench.learning.plan import Plan, Trial
from daemon.errors import ConfigError


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """Those that were measured; each trial's result tells its seed."""
    asked: list[Trial] = []

    def measure(*trials: Trial) -> list[dict[str, Any]]:
        asked.extend(trials)
        return [{"final": 0.5, "seed": trial.seed} for trial in trials]

    monkeypatch.setattr(kept, "measure", measure)
    return asked


def test_given_a_stopped_run_when_asked_again_then_only_what_is_missing_is_measured(
    tmp_path: Path, trial: Trial, measured: list[Trial]
) -> None:
    directory = tmp_path / "new" / "trials"
    Kept(directory)(trial)
    # When another run asks for that trial and a further one
    found = Kept(directory)(trial, replace(trial, seed=1))
    # Then each was measured once
    assert found == [{"final": 0.5, "seed": 0}, {"final": 0.5, "seed": 1}]
    assert [each.seed for each in measured] == [0, 1]
    assert sorted(path.name[:22] for path in directory.iterdir()) == [
        "ours--0-0.005-holdout-",
        "ours--1-0.005-holdout-",
    ]


def test_given_other_rows_or_another_configuration_when_asked_then_it_is_measured_anew(
    tmp_path: Path, trial: Trial, measured: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Kept(tmp_path / "trials")
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(Path(trial.stream).read_bytes())
    ask(trial)
    # When the same rows lie elsewhere, nothing is measured
    ask(replace(trial, stream=str(moved)))
    assert len(measured) == 1
    # But when rows, configuration or a package are others
    moved.write_bytes(moved.read_bytes().split(b"\n", 1)[1])
    ask(replace(trial, stream=str(moved)))
    ask(replace(trial, task={**trial.task, "head": {"kind": "ncm"}}))
    monkeypatch.setattr(kept, "version", lambda name: f"{name} of tomorrow")
    ask(trial)
    assert len(measured) == 4


def test_a_trial_that_fails_is_not_kept(tmp_path: Path, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Trial) -> list[dict[str, Any]]:
        raise ConfigError("no")

    monkeypatch.setattr(kept, "measure", fail)
    with pytest.raises(ConfigError, match="no"):
        Kept(tmp_path)(trial)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--keep .*file: .*; name a directory that can be written"):
        Kept(tmp_path / "file")


def test_a_quick_run_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--keep and --quick do not go together"):
        run.run(True, Plan(keep=tmp_path))
