"""Whatever arrives in whatever order, the buffer holds what a tiny model in memory says."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.buffer.ports import Arrival
from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.config.models import BufferConfig
from daemon.config.task import SplitConfig, TaskConfig
from daemon.events import Input, LabelValue, Op, Split
from tests.buffer.support import TASK, HandClock, Opened, arrival, fold, trained

IDS, TEXTS, LABELS = ("a", "b", "c", "d"), ("t0", "t1", "t2", "t3", "t4"), ("x", "y", "z")
Order = tuple[float, int]


@dataclass
class Model:
    """Latest statement wins, per id; an erased id stays erased."""

    inputs: dict[str, dict[Order, str]] = field(default_factory=dict)
    labels: dict[str, dict[Order, LabelValue | None]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    def put(self, given_: Arrival) -> None:
        event, offset = given_.event, given_.origin.offset
        if event.op is Op.DELETE:
            self.erased.add(event.id)
        if event.id in self.erased:
            return
        if event.input is not None and event.input.text is not None:
            self.inputs.setdefault(event.id, {})[given_.record_time, offset] = event.input.text
        if event.label is not None or event.op is Op.RETRACT:
            time = given_.record_time if event.label_time is None else event.label_time
            self.labels.setdefault(event.id, {})[time, offset] = event.label

    def now(self) -> dict[str, tuple[Input, LabelValue | None]]:
        return {
            id_: (Input(said[max(said)]), self.labels[id_][max(self.labels[id_])] if id_ in self.labels else None)
            for id_, said in self.inputs.items()
            if id_ not in self.erased
        }


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Arrival]]:
    """Batches of arrivals; offsets say their place in the stream, some arrive twice."""
    n = draw(st.integers(1, 30))
    stream: list[Arrival] = []
    for offset in range(n):
        op = draw(st.sampled_from([Op.UPSERT] * 6 + [Op.RETRACT] * 2 + [Op.DELETE]))
        text = draw(st.none() | st.sampled_from(TEXTS)) if op is not Op.DELETE else None
        label = draw(st.none() | st.sampled_from(LABELS)) if op is Op.UPSERT else None
        label_time = draw(st.none() | st.integers(0, 5).map(float))
        at = float(draw(st.integers(0, 5)))
        stream.append(
            arrival(draw(st.sampled_from(IDS)), text, label, at=at, offset=offset, op=op, label_time=label_time)
        )
        if draw(st.integers(0, 5)) == 0:
            stream.append(draw(st.sampled_from(stream)))
    batches = []
    while stream:
        size = draw(st.integers(1, len(stream)))
        batches.append(stream[:size])
        stream = stream[size:]
    return batches


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=arrivals(), maintained=st.booleans())
def test_the_buffer_agrees_with_the_model(batches: list[list[Arrival]], maintained: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "buffer.sqlite"
        # Given a buffer with a split that can put any key anywhere
        split = SplitConfig(validation_ratio=0.3, holdout_ratio=0.3, min_train_rows=1)
        clock = HandClock()
        writer = SqliteBufferWriter(path, {TASK: TaskConfig(split=split)}, BufferConfig(), clock)
        buffer, model = Opened(writer, SqliteBufferReader(path), clock), Model()
        # When batches arrive
        for batch in batches:
            buffer.put(*batch)
            for one in batch:
                model.put(one)
            if maintained:
                writer.maintain({TASK: buffer.reader.last_seq(TASK)})
            check(buffer, model)
        buffer.close()


def check(buffer: Opened, model: Model) -> None:
    reader = buffer.reader
    expected = model.now()
    kept = {e.id: e for e in reader.export()}
    # Then it holds the model's events and labels
    assert {id_: (e.input, e.label) for id_, e in kept.items()} == expected
    # and folding the log from the start gives the labelled events, each on the side it is stored on
    members = fold(buffer.changes())
    assert {id_: (e.input, e.label) for id_, e in members.items()} == {
        i: v for i, v in expected.items() if v[1] is not None
    }
    assert all(members[id_].split == kept[id_].split for id_ in members)
    # and samples, windows and counters all speak of the same events
    train = trained(members)
    for balanced in (True, False):
        sample = reader.sample(TASK, 99, balanced=balanced, seed=0)
        assert {e.id: (e.input, e.label) for e in sample} == train
        assert len(sample) == len(train)
    for drawn in (reader.recent(TASK, 99, half_life=3, seed=0), reader.reservoir(TASK, 99)):
        assert {e.id: (e.input, e.label) for e in drawn} == train
        assert len(drawn) == len(train)
    whole = [e.id for e in reader.reservoir(TASK, 99)]
    assert all([e.id for e in reader.reservoir(TASK, n)] == whole[:n] for n in (1, 2, 5))
    stats = reader.stats(TASK)
    assert stats.events == len(expected)
    assert sum(stats.labels.values()) == len(train)
    for side in Split:
        window = reader.labelled(TASK, side, limit=99)
        assert {e.id for e in window} == {id_ for id_, e in members.items() if e.split is side}
        assert stats.labelled[side] == len(window)
        assert [e.seq for e in window] == sorted(e.seq for e in window)
    waiting = {id_ for id_ in model.labels if id_ not in model.inputs and id_ not in model.erased}
    assert (stats.pending_labels > 0) == bool(waiting)
