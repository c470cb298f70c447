"""A backtest goes through the real rooms: buffer, learner, trainer process, gate, registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

from daemon.backtest import Backtest, Options, read_events
from daemon.backtest.holdout import Holdout, Part
from daemon.backtest.points import seen, young
from daemon.backtest.report import backward_transfer, forgetting
from daemon.config.load import load
from daemon.config.models import Config
from daemon.errors import ConfigError
from daemon.models.encoder import Encoded, Encoder
from daemon.roles.fast import FastLearner
from daemon.tasks.schema import SequenceSchema
from strategies.base import Example
from tests.daemon.harness import events
from tests.serving.tiny import learnt, served


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
    assert 0 < report["cost"]["evaluate_cpu_s"] < report["cost"]["total_cpu_s"]


def test_given_points_every_ten_events_when_played_then_seen_and_young_classes_are_scored_at_each(
    tmp_path: Path, streams: tuple[Path, Path]
) -> None:
    # Given four classes of twenty events, of which some are split away, and an evaluation every ten events
    torch.set_num_threads(1)
    stream, holdout = (read_events(path, None) for path in streams)
    # When they are played
    report = Backtest(config(tmp_path / "state"), Options("none", evaluate_every=10)).run(
        stream, [event for event, _ in holdout]
    )
    # Then there is a point each ten events, group ends among them
    points = report["any_time"]["curve"]
    assert [played for played, _, _ in points] == list(range(10, 90, 10))
    # And the last one, where every class is seen and none is young, is the final value
    assert points[-1][1:] == (report["final"], None)
    assert report["any_time"]["all"] == pytest.approx(sum(value for _, value, _ in points) / len(points))
    # And young classes were scored while they had ten train events or fewer: both of each group at its first point
    assert points[0][2] == points[0][1]
    assert 0 <= report["any_time"]["young"] <= 1
    assert report["any_time"]["young_rows"] >= 4 * 10


def test_given_one_version_when_scored_many_times_then_each_text_is_encoded_once(
    tmp_path: Path, streams: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a count of the texts that the encoder reads, by text
    torch.set_num_threads(1)
    stream, holdout = (read_events(path, None) for path in streams)
    made = Backtest(config(tmp_path / "state"), Options("none", evaluate_every=10))
    read: Counter[tuple[int, ...]] = Counter()
    forward = Encoder.forward

    def counted(self: Encoder, examples: Sequence[Example], layers: int = 0) -> Encoded:
        read.update(example.token_ids for example in examples)
        return forward(self, examples, layers)

    monkeypatch.setattr(Encoder, "forward", counted)
    monkeypatch.setattr(Backtest, "_speed", lambda self, events: 0.0)
    # When the stream is played: predicted, folded, and the holdout scored eight times
    made.run(stream, [event for event, _ in holdout])
    # Then nothing was read twice: 120 texts, and the words of the four labels
    assert len(read) == 120 + 4
    assert set(read.values()) == {1}


def test_given_a_tuned_head_and_classes_that_arrive_when_scored_from_the_cache_then_it_is_what_is_served(
    streams: tuple[Path, Path],
) -> None:
    # Given a version with a tuned head for one class, and fast weights that come to know another
    base = served(1, ("card_lost", "other"))
    rows = [event for event, _ in read_events(streams[1], None)]
    held = Holdout(rows, SequenceSchema(), ["g0", "g1"])
    pairs = [(row.input.text or "", str(row.label)) for row in rows if row.input is not None]
    for known in ({"refund"}, {"refund", "card_lost"}, {"password", "refund", "delivery"}):
        shown = [pair for pair in pairs if pair[1] in known]
        answering = base.with_weights(learnt(base, shown, cursor=1).weights(), 0.4)
        # When the wanted parts are scored
        found = held.units(answering, 3, lambda part: part.group == "g0")
        # Then each row has the score that the served model gives it by itself
        assert {part.classes for part, _ in found} == {("card_lost",), ("refund",)}
        for part, units in found:
            np.testing.assert_array_equal(units, answering.unit_scores(part.rows))


@pytest.mark.parametrize(
    ("counts", "all_seen", "any_young"),
    [({}, False, False), ({"a": 1}, False, True), ({"a": 10, "b": 11}, True, True), ({"a": 11, "b": 11}, True, False)],
)
def test_a_class_is_seen_from_its_first_train_event_and_young_up_to_its_tenth(
    counts: dict[str, int], all_seen: bool, any_young: bool
) -> None:
    part = Part("g0", ("a", "b"))
    assert (seen(part, counts), young(part, counts)) == (all_seen, any_young)


def test_a_matrix_gives_forgetting_and_backward_transfer_over_all_groups_but_the_last() -> None:
    matrix: list[list[float | None]] = [[0.9, None, None], [0.7, 0.8, None], [0.6, 0.9, 0.5]]
    assert forgetting(matrix) == pytest.approx((0.3 + 0.0) / 2)
    assert backward_transfer(matrix) == pytest.approx((-0.3 + 0.1) / 2)
    assert (forgetting([[0.5]]), backward_transfer([[0.5]])) == (0.0, 0.0)


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


def test_given_events_an_hour_apart_when_played_then_sums_are_written_for_updates_alone(
    tmp_path: Path, streams: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a stream of days, of which the learner of a daemon would keep its sums each half a minute
    torch.set_num_threads(1)
    stream, holdout = (read_events(path, None) for path in streams)
    spread = [(event._replace(time=2e9 + 3600 * hour), line) for hour, (event, line) in enumerate(stream)]
    written: list[int] = []
    monkeypatch.setattr(FastLearner, "snapshot", lambda learner: written.append(learner.cursor))
    # When it is played with the trigger on, and no update is due
    sets = ("tasks.support.head={kind: ncm}", "tasks.support.trigger={min_events: 1000, max_wait_s: 1000000000}")
    report = Backtest(config(tmp_path / "state", *sets), Options()).run(spread, [event for event, _ in holdout])
    # Then nothing is written
    assert (report["updates"], written) == (0, [])


def test_given_a_line_that_is_no_event_when_read_then_the_error_names_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "1", "task": "t", "time": "2026-01-01T00:00:00Z", "text": "a", "label": "b"}\nnot json\n')
    with pytest.raises(ConfigError, match=r"bad\.jsonl:2"):
        read_events(path, None)
