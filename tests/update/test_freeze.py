"""Which events a job freezes: on the real buffer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.config.models import BufferConfig
from daemon.config.task import SplitConfig, TaskConfig
from daemon.errors import StoreFull
from daemon.events import Split, StoredEvent
from daemon.registry.lineage import LINEAGE
from daemon.registry.version import Version, VersionMeta
from daemon.tasks.schema import get_schema
from daemon.update import freeze as freezing
from daemon.update.freeze import freeze
from daemon.update.job import UpdateJob, read_job, read_rows
from strategies.base import BaseStrategy, PlanStats, PoolRequest
from tests.buffer.support import TASK, HandClock, Opened, arrival

SPLIT = SplitConfig(validation_ratio=0.2, holdout_ratio=0.2, min_train_rows=0)


class Asks(BaseStrategy):
    def __init__(self, n: int) -> None:
        self.n = n
        self.seen: list[PlanStats] = []

    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]:
        self.seen.append(stats)
        return [PoolRequest(self.n), PoolRequest(self.n, "uniform")]


class Bench:
    def __init__(self, buffer: Opened, root: Path) -> None:
        self.buffer, self.root, self.jobs = buffer, root, 0
        self.parent = self._parent(root / "parent", '["z", "b"]')

    def _parent(self, path: Path, labels: str) -> Version:
        path.mkdir()
        (path / "labels.json").write_text(labels)
        return Version("000001", 0.0, VersionMeta(TASK, "sequence", "base", "0" * 64, 128), {}, path)

    def put(self, count: int, labels: Sequence[str], *, start: int = 0, source: str = "") -> None:
        self.buffer.put(
            *(
                arrival(f"e{i}", f"text number {i}", labels[i % len(labels)], offset=i, source=source)
                for i in range(start, start + count)
            )
        )

    def freeze(
        self,
        *,
        since: int = 0,
        cursor: int | None = None,
        strategies: Sequence[Any] = (),
        most_new: int | None = None,
        joint_before: int = 0,
        **config: Any,
    ) -> tuple[UpdateJob, Mapping[str, list[StoredEvent]]]:
        self.jobs += 1
        directory = self.root / "jobs" / f"{self.jobs:06d}"
        reader = self.buffer.reader
        job = freeze(
            reader,
            self.parent,
            TaskConfig.model_validate({"split": SPLIT.model_dump(), **config}),
            get_schema("sequence"),
            cursor=reader.last_seq(TASK) if cursor is None else cursor,
            since_seq=since,
            fast_dir=None,
            strategies=strategies,
            directory=directory,
            job_id=f"{self.jobs:06d}",
            reason="count",
            created=1.0,
            seed=3,
            most_new=most_new,
            joint_before=joint_before,
        )
        assert read_job(directory) == job
        return job, {name: read_rows(directory, name) for name in job.counts}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = HandClock()
    path = tmp_path / "buffer.sqlite"
    writer = SqliteBufferWriter(path, {TASK: TaskConfig(split=SPLIT)}, BufferConfig(), clock)
    opened = Opened(writer, SqliteBufferReader(path), clock)
    yield Bench(opened, tmp_path)
    opened.close()


def ids(events: Sequence[StoredEvent]) -> set[str]:
    return {event.id for event in events}


def test_every_row_has_the_split_it_was_given(bench: Bench) -> None:
    bench.put(300, ["a", "b"])
    job, rows = bench.freeze(strategies=[Asks(1000)], gate={"aside_ratio": 0})
    for name, split in {"new": "train", "refit": "train", "validation": "validation", "holdout": "holdout"}.items():
        assert rows[name]
        assert {event.split for event in rows[name]} == {split}
    # And everything labelled is somewhere, once
    assert sum(job.counts[name] for name in ("new", "validation", "holdout")) == 300
    assert ids(rows["refit"]) == ids(rows["new"])


def test_new_is_what_came_since_and_the_pool_is_older(bench: Bench) -> None:
    # Given history, and events after it
    bench.put(200, ["a", "b"])
    since = bench.buffer.reader.last_seq(TASK)
    bench.put(100, ["b", "c"], start=200)
    asks = Asks(1000)
    job, rows = bench.freeze(since=since, strategies=[asks])
    assert all(event.seq > since for event in rows["new"])
    assert all(event.seq <= since for event in rows["pool"])
    # And the pool holds each event once, though two requests found it
    assert len(rows["pool"]) == len(ids(rows["pool"])) == asks.seen[0].stored_events
    assert asks.seen[0].new_events == job.counts["new"]


def test_what_is_over_the_bound_may_be_in_the_pool(bench: Bench) -> None:
    bench.put(300, ["a", "b"])
    _, rows = bench.freeze(strategies=[Asks(1000)], update={"max_new_events": 50})
    # Then the newest are new, and the rest can be replayed
    assert len(rows["new"]) == 50
    assert min(event.seq for event in rows["new"]) > max(event.seq for event in rows["pool"])
    assert ids(rows["new"]).isdisjoint(ids(rows["pool"]))
    assert ids(rows["new"]) | ids(rows["pool"]) == ids(rows["refit"])


def test_nothing_after_the_cursor_is_in_a_job(bench: Bench) -> None:
    bench.put(200, ["a"])
    cursor = bench.buffer.reader.last_seq(TASK)
    bench.put(200, ["late"], start=200)
    job, rows = bench.freeze(cursor=cursor, strategies=[Asks(1000)])
    assert all(event.seq <= cursor for part in rows.values() for event in part)
    assert "late" not in job.labels


def test_labels_keep_the_parents_order_then_config_then_arrival(bench: Bench) -> None:
    bench.put(100, ["b", "y", "x"])
    job, _ = bench.freeze(labels={"known": ["k", "z"]})
    assert (job.labels, job.old_labels) == (("z", "b", "k", "y", "x"), 2)


def test_accepted_predictions_neither_teach_nor_measure(bench: Bench) -> None:
    bench.put(200, ["a"])
    bench.put(200, ["guessed"], start=200, source="prediction")
    job, rows = bench.freeze(strategies=[Asks(1000)])
    assert not [event for part in rows.values() for event in part if event.source]
    assert "guessed" not in job.labels


def test_refit_is_balanced_and_bounded(bench: Bench) -> None:
    bench.put(400, ["a"] * 19 + ["b"])
    _, rows = bench.freeze(head={"kind": "ncm", "refit_max_events": 20})
    counts = Counter(event.label for event in rows["refit"])
    assert sum(counts.values()) == 20
    assert counts["b"] >= 8
    # And without a fast head there is none
    assert bench.freeze(head={"kind": "none"})[0].counts["refit"] == 0


def test_holdout_is_half_recent_half_balanced(bench: Bench) -> None:
    # Given a rare class that only came long ago
    bench.put(100, ["rare", "a"])
    bench.put(1000, ["a", "b"], start=100)
    everything = bench.freeze()[1]["holdout"]
    _, rows = bench.freeze(gate={"max_rows": 20})
    holdout = rows["holdout"]
    # Then half are the newest, and the others come from every class alike
    assert len(ids(holdout)) == 20
    assert holdout[-10:] == everything[-10:]
    assert sorted(Counter(event.label for event in holdout[:10]).values()) == [3, 3, 4]


def test_validation_is_bounded_to_the_newest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put(300, ["a"])
    everything = bench.freeze(gate={"aside_ratio": 0})[1]["validation"]
    monkeypatch.setattr(freezing, "MAX_VALIDATION_ROWS", 10)
    assert bench.freeze(gate={"aside_ratio": 0})[1]["validation"] == everything[-10:]


def test_while_no_encoder_has_moved_stored_rows_judge_too(bench: Bench) -> None:
    # Given long history, and an update that trains a small part of it
    bench.put(900, ["a", "b"])
    _, rows = bench.freeze(strategies=[Asks(20)], update={"max_new_events": 50}, gate={"min_rows": 200})
    # Then rows that it does not train judge it, as many as are lacking
    unseen = [event for event in rows["validation"] if event.split == "train"]
    assert unseen
    assert len(rows["validation"]) + len(rows["holdout"]) >= 600
    assert {event.key for event in unseen}.isdisjoint(event.key for name in ("new", "pool") for event in rows[name])
    assert len(rows["new"]) == 50


def test_once_an_encoder_has_moved_stored_rows_do_not_judge(bench: Bench) -> None:
    # Given the same of a version that an update made: it may have learnt any of them
    bench.put(900, ["a", "b"])
    (bench.parent.path / LINEAGE).write_bytes(b"")
    _, rows = bench.freeze(strategies=[Asks(20)], update={"max_new_events": 50}, gate={"min_rows": 200})
    assert {event.split for event in rows["validation"]} == {"validation"}


@pytest.mark.parametrize(
    ("most_new", "config", "new"),
    [
        (None, {"update": {"max_new_events": 50}}, 50),
        (20, {"update": {"max_new_events": 50}}, 20),
        (None, {"trust": {"max_new_per_source": 30}}, 30),
    ],
)
def test_new_events_are_bounded_and_the_newest(
    bench: Bench, most_new: int | None, config: dict[str, Any], new: int
) -> None:
    # Given more new events than an update takes, a look takes, or one source may bring
    bench.put(300, ["a", "b"], source="crm")
    _, rows = bench.freeze(most_new=most_new, gate={"aside_ratio": 0}, **config)
    # Then so many of them are new, the newest
    train = bench.buffer.reader.labelled(TASK, Split.TRAIN, before_seq=10**6, limit=1000)
    assert [event.id for event in rows["new"]] == [event.id for event in train[-new:]]


def test_some_new_rows_judge_and_are_not_trained(bench: Bench) -> None:
    # Given a version that an update made, history with the texts of some new events, and too few rows to judge by
    bench.put(100, ["a", "b"])
    since = bench.buffer.reader.last_seq(TASK)
    again = [arrival(f"again{i}", f"text number {i}", "a", offset=1000 + i) for i in range(100)]
    bench.buffer.put(*again, *(arrival(f"n{i}", f"new {i}", "ab"[i % 2], offset=2000 + i) for i in range(200)))
    (bench.parent.path / LINEAGE).write_bytes(b"")
    # When a job is frozen
    _, rows = bench.freeze(since=since, strategies=[Asks(1000)], gate={"aside_ratio": 0.25})
    # Then rows of the new events stand among those of validation, and their texts are nowhere trained
    aside = [event for event in rows["validation"] if event.split == "train"]
    assert len(aside) > 20
    assert all(event.seq > since for event in aside)
    trained = {event.key for name in ("new", "pool") for event in rows[name]}
    assert trained.isdisjoint(event.key for event in aside)
    # And the fast head knows them
    assert ids(aside) <= ids(rows["refit"])


def test_a_joint_training_has_the_whole_history_and_no_pool(bench: Bench) -> None:
    # Given a version that an update made, history before it and after
    bench.put(400, ["a", "b"])
    since = bench.buffer.reader.last_seq(TASK)
    bench.put(400, ["b", "c"], start=400)
    (bench.parent.path / LINEAGE).write_bytes(b"")
    asks, bound = Asks(1000), {"joint_max_events": 1000, "max_new_events": 10}
    # When a look is frozen while that is short enough
    job, rows = bench.freeze(since=since, strategies=[asks], most_new=5, update=bound, gate={"min_rows": 200})
    # Then everything trains but what is set aside, which is new
    train = bench.buffer.reader.labelled(TASK, Split.TRAIN, limit=10_000)
    aside = [event for event in rows["validation"] if event.split == "train"]
    assert job.joint == len(train)
    assert [event.id for event in rows["new"]] == [event.id for event in train if event not in aside]
    assert aside
    assert all(event.seq > since for event in aside)
    assert rows["pool"] == []
    assert not asks.seen
    # And where a source may bring so much at once, that holds for what is new
    _, rows = bench.freeze(since=since, update=bound, trust={"max_new_per_source": 30}, gate={"aside_ratio": 0})
    older = [event for event in train if event.seq <= since]
    assert [event.id for event in rows["new"]] == [event.id for event in [*older, *train[-30:]]]


@pytest.mark.parametrize(
    ("known_ratio", "most", "joint"), [(0, 1000, True), (0.6, 1000, True), (0.7, 1000, False), (0, 100, False)]
)
def test_a_joint_training_waits_for_growth_and_ends_at_the_bound(
    bench: Bench, known_ratio: float, most: int, joint: bool
) -> None:
    # Given history of which the last joint training knew a share
    bench.put(400, ["a", "b"])
    before = int(known_ratio * len(bench.buffer.reader.labelled(TASK, Split.TRAIN, limit=10_000)))
    bound = {"joint_max_events": most, "max_new_events": 50}
    # When a job is frozen, Then it is joint where that grew by half and is short enough
    job, rows = bench.freeze(strategies=[Asks(1000)], joint_before=before, update=bound)
    assert (bool(job.joint), not rows["pool"]) == (joint, joint)


def test_the_same_content_freezes_the_same_job(bench: Bench) -> None:
    bench.put(300, ["a", "b", "c"])
    first, second = (bench.freeze(strategies=[Asks(40)], update={"max_new_events": 50}) for _ in range(2))
    assert first[1] == second[1]
    assert first[0].files == second[0].files


def test_without_room_nothing_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put(50, ["a"])
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(StoreFull, match=r"needs \d+ bytes in .*jobs, 1000 are free"):
        bench.freeze()
    assert list((bench.root / "jobs").iterdir()) == []
