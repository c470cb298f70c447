from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from daemon.backtest import read_events
from daemon.bench.learning.history import History, write_own
from daemon.buffer.ports import Arrival
from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.models import BufferConfig
from daemon.config.task import SplitConfig, TaskConfig
from daemon.errors import ConfigError
from daemon.events import Event, Origin, Split
from daemon.tasks.schema import SequenceSchema, input_key

SPLIT = SplitConfig(validation_ratio=0.2, holdout_ratio=0.2, min_train_rows=2)


def events(path: Path) -> list[Event]:
    return [event for event, _ in read_events(path, None)]


def test_given_a_stream_when_split_then_the_same_rows_train_as_in_the_buffer(tmp_path: Path) -> None:
    # Given texts of which some come twice
    stream, holdout = write_own(tmp_path, 4, 20, 2, 2)
    lines = read_events(stream, None)
    lines += [(event._replace(id=f"{event.id}-again"), line) for event, line in lines[::3]]
    # When the buffer takes them, and the bench's history
    writer = SqliteBufferWriter(
        tmp_path / "buffer.sqlite", {"bench": TaskConfig(split=SPLIT)}, BufferConfig(), SystemClock()
    )
    for at, (event, _) in enumerate(lines):
        assert event.input is not None
        writer.append([Arrival(event, Origin("in", 0, at), 0.0, input_key(SequenceSchema(), event.input))], {})
    writer.close()
    reader = SqliteBufferReader(tmp_path / "buffer.sqlite")
    stored = {event.id: event.split for event in reader.export("bench")}
    reader.close()
    history = History(lines, events(holdout), SPLIT)
    # Then both leave the same events for training
    trained = {lines[row.at][0].id for row in history.train}
    assert trained == {name for name, split in stored.items() if split is Split.TRAIN}
    assert 0 < len(history.validation) == len(lines) - len(trained)
    assert history.scored_events("validation") == [lines[row.at][0] for row in history.validation]


def test_given_two_groups_when_played_then_rows_arrive_once_and_classes_are_counted(history: History) -> None:
    assert history.groups == ["g0", "g1"]
    assert history.ends == [16, 32]
    first, second = history.arriving(0), history.arriving(1)
    assert [*first, *second] == history.train
    assert {row.group for row in first} == {"g0"}
    assert history.counts(32) == Counter(row.label for row in history.train)
    assert set(history.counts(16)) == {row.label for row in first} == set(history.labels[:2])


def test_given_a_group_that_comes_again_when_played_then_it_ends_with_its_last_event(files: tuple[Path, Path]) -> None:
    lines = read_events(files[0], None)
    history = History([*lines, (lines[0][0]._replace(id="late"), b"")], events(files[1]), SplitConfig())
    assert history.groups == ["g1", "g0"]
    assert history.ends == [32, 33]
    # Each row arrives at the next end, whatever its group
    assert len(history.arriving(0)) == 32
    assert len(history.arriving(1)) == 1


def test_what_cannot_be_played_is_refused_by_name(files: tuple[Path, Path]) -> None:
    lines, held = read_events(files[0], None), events(files[1])
    with pytest.raises(ConfigError, match=r"groups \['g7'\] are not in the stream: \['g0', 'g1'\]"):
        History(lines, [held[0]._replace(group="g7")], SplitConfig())
    with pytest.raises(ConfigError, match=r"one task .* found \['bench', 'other'\]"):
        History(lines, [held[0]._replace(task="other")], SplitConfig())
    with pytest.raises(ConfigError, match=r"'stream-0': .* label 0\.5"):
        History([(lines[0][0]._replace(label=0.5), b"")], held, SplitConfig())


def test_our_own_texts_are_distinct_and_the_same_each_time(tmp_path: Path, files: tuple[Path, Path]) -> None:
    again = write_own(tmp_path, 4, 8, 4, 2)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in files]
    texts = [event.input for path in again for event in events(path)]
    assert len(set(texts)) == len(texts) == 4 * (8 + 4)
