"""A backtest goes through the real rooms: buffer, learner, trainer process, gate, registry."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import torch

from daemon.backtest import Backtest, Options, read_events
from daemon.config.load import load
from daemon.config.models import Config
from daemon.errors import ConfigError
from tests.daemon.harness import events


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return path


def config(state: Path, *sets: str) -> Config:
    return load(None, [f"state_dir={state}", "tasks.support.type=sequence", *sets], {}).config


@pytest.fixture
def streams(tmp_path: Path) -> tuple[Path, Path]:
    """Two groups of two classes each; a holdout of both."""
    rows = events(80)
    for row in rows:
        row["group"] = "g0" if row["label"] in ("card_lost", "refund") else "g1"
    rows.sort(key=lambda row: str(row["group"]))
    held = events(40, start=1000)
    for row in held:
        row["group"] = "g0" if row["label"] in ("card_lost", "refund") else "g1"
    return write(tmp_path / "stream.jsonl", rows), write(tmp_path / "holdout.jsonl", held)


def test_given_two_groups_when_only_the_fast_learner_learns_then_the_report_says_how_well(
    tmp_path: Path, streams: tuple[Path, Path]
) -> None:
    torch.set_num_threads(1)
    stream, holdout = (read_events(path, None) for path in streams)
    report = Backtest(config(tmp_path / "state"), Options("none")).run(stream, [event for event, _ in holdout])
    assert (report["events"], report["updates"], report["groups"]) == (80, 0, ["g0", "g1"])
    assert report["matrix"][0][1] is None
    assert report["matrix"][1][1] is not None
    assert report["final"] > 0.9
    assert 0 <= report["prequential"]["value"] <= 1
    assert report["cost"]["trained_samples"] == 0


@pytest.mark.slow
def test_given_two_groups_when_an_update_runs_after_each_then_versions_and_samples_are_told(
    tmp_path: Path, streams: tuple[Path, Path]
) -> None:
    torch.set_num_threads(1)
    stream, holdout = (read_events(path, None) for path in streams)
    sets = ("tasks.support.tune={kind: head}", "tasks.support.training.epochs=2", "tasks.support.head={kind: none}")
    made = Backtest(config(tmp_path / "state", *sets), Options("group", gate=False))
    report = made.run(stream, [event for event, _ in holdout])
    assert report["updates"] == 2
    assert [version["promoted"] for version in report["versions"]] == [True, True]
    assert all(version["verdict"] == "insufficient" for version in report["versions"])
    assert report["cost"]["trained_samples"] >= 100
    assert report["final"] > 0.5


def test_given_a_line_that_is_no_event_when_read_then_the_error_names_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "1", "task": "t", "time": "2026-01-01T00:00:00Z", "text": "a", "label": "b"}\nnot json\n')
    with pytest.raises(ConfigError, match=r"bad\.jsonl:2"):
        read_events(path, None)
