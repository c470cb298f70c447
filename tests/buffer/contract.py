"""The contract of every buffer: subclass, give a ``start`` fixture, and all of this must hold."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.buffer.ports import Arrival, DeadLetter
from daemon.config.models import BufferConfig
from daemon.config.task import SplitConfig, TaskConfig
from daemon.errors import ConfigError, PositionConflict
from daemon.events import ChangeKind, Input, Op, Origin, Split
from tests.buffer.support import TASK, Opened, arrival, delete, fold, retract, trained

Open = Callable[..., Opened]
"""start(tasks=…, limits=…) -> a new buffer, or the same one opened anew."""

EVEN = SplitConfig(validation_ratio=0.3, holdout_ratio=0.3, min_train_rows=10)
ALL_TRAIN = SplitConfig(validation_ratio=0, holdout_ratio=0)


def letter(offset: int, value: bytes | None = b"{") -> DeadLetter:
    return DeadLetter(Origin("labelled", 0, offset), 5.0, b"k", value, (("__connect.errors.x", b"\xff"),), "not_json")


def many(n: int, classes: int = 3, start: int = 0) -> list[Arrival]:
    return [arrival(f"e{i}", f"text {i}", f"c{i % classes}", at=i, offset=i) for i in range(start, start + n)]


class BufferContract:
    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Open]:
        raise NotImplementedError

    # positions, atomicity, outbox

    def test_positions_are_compared_and_set(self, start: Open) -> None:
        # Given a buffer that stands at 3
        buffer = start()
        buffer.writer.append([], {("labelled", 0): (None, 3)}, identities={"labelled": "uuid"})
        # When someone who expects 2 appends, Then nothing of it is stored
        with pytest.raises(PositionConflict, match=r"labelled\[0\].* 3, expected 2"):
            buffer.writer.append([arrival("a", "text", "x")], {("labelled", 0): (2, 4)}, [letter(1)])
        assert buffer.reader.get(TASK, "a") is None
        assert buffer.writer.outbox(10) == []
        # When the expectation is right, Then all of it is
        buffer.writer.append([arrival("a", "text", "x")], {("labelled", 0): (3, 4), ("labelled", 1): (None, 9)})
        assert buffer.writer.positions() == {("labelled", 0): 4, ("labelled", 1): 9}
        assert buffer.writer.identities() == {"labelled": "uuid"}
        assert buffer.reader.get(TASK, "a") is not None

    def test_meanwhile_is_done_once_and_may_ask_for_the_labels(self, start: Open) -> None:
        buffer = start()
        seen: list[tuple[int, dict[str, int]]] = []

        def meanwhile() -> None:
            seen.append((threading.get_ident(), dict(buffer.writer.label_counts(TASK))))

        # When something is to be done beside an append, Then it is, on this thread, and knows what is appended
        report = buffer.writer.append(many(30), {("labelled", 0): (None, 30)}, meanwhile=meanwhile)
        assert seen == [(threading.get_ident(), {"c0": 10, "c1": 10, "c2": 10})]
        assert report.outcomes == {(TASK, "stored"): 30}
        assert buffer.reader.stats(TASK).events == 30
        # When it fails, Then its error is raised, and all is stored
        with pytest.raises(ZeroDivisionError):
            buffer.writer.append(many(30, start=30), {("labelled", 0): (30, 60)}, meanwhile=lambda: 1 / 0)
        assert buffer.writer.positions() == {("labelled", 0): 60}
        assert len(fold(buffer.changes())) == 60
        # When what is appended is refused, Then nothing is done
        with pytest.raises(PositionConflict):
            buffer.writer.append([], {("labelled", 0): (7, 8)}, meanwhile=meanwhile)
        assert len(seen) == 1

    def test_changes_of_an_event_within_its_first_append_are_all_logged(self, start: Open) -> None:
        # Given events that come, are labelled, revised, retracted and erased in one append
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN)})
        buffer.put(
            arrival("a", "text", "x", at=1),
            arrival("a", "other text", "y", at=2),
            arrival("b", "second", at=3),
            arrival("b", label="z", at=4),
            arrival("c", "third", "x", at=5),
            retract("c", at=6),
            arrival("d", "fourth", "x", at=7),
            delete("d", offset=9),
            arrival("e", "fifth", "x", at=8),
        )
        # Then who folds the log sees each step
        found = [(c.event.id, c.kind, c.event.label, c.previous_label, c.event.revision) for c in buffer.changes()]
        assert found == [
            ("a", ChangeKind.LABEL, "x", None, 0),
            ("a", ChangeKind.INPUT, "x", None, 1),
            ("a", ChangeKind.REVISE, "y", "x", 2),
            ("b", ChangeKind.LABEL, "z", None, 0),
            ("c", ChangeKind.LABEL, "x", None, 0),
            ("c", ChangeKind.RETRACT, None, "x", 1),
            ("d", ChangeKind.LABEL, "x", None, 0),
            ("d", ChangeKind.ERASE, "x", "x", 0),
            ("e", ChangeKind.LABEL, "x", None, 0),
        ]
        assert {id_: event.label for id_, event in fold(buffer.changes()).items()} == {"a": "y", "b": "z", "e": "x"}

    def test_a_failing_append_leaves_nothing(self, start: Open) -> None:
        buffer = start()
        with pytest.raises(ConfigError, match="nowhere"):
            buffer.put(arrival("a", "text", "x"), arrival("b", "text", "x", task="nowhere"))
        assert buffer.reader.stats(TASK).events == 0
        buffer.put(arrival("a", "text", "x"))
        assert buffer.reader.stats(TASK).events == 1

    def test_the_outbox_keeps_letters_until_they_are_acknowledged(self, start: Open) -> None:
        buffer = start()
        report = buffer.writer.append([], {("labelled", 0): (None, 2)}, [letter(0), letter(1, None)])
        assert report.outcomes == {("", "dead_lettered"): 2}
        (one, first), (two, second) = buffer.writer.outbox(10)
        assert (first, second) == (letter(0), letter(1, None))
        buffer.writer.acknowledge([one])
        assert [number for number, _ in buffer.writer.outbox(10)] == [two]

    def test_the_outbox_knows_its_size_and_what_waits_in_it(self, start: Open) -> None:
        # Given two letters, one of them read again, and one that names an event
        buffer = start()
        buffer.writer.append([], {}, [letter(0), letter(1, None), letter(2, b'{"id": "a", "task": "support"}')])
        buffer.writer.append([], {}, [letter(0)])
        size = buffer.writer.outbox_size()
        assert (size.letters, size) == (3, buffer.reader.outbox_size())
        assert buffer.reader.outbox_reasons() == {"not_json": 3}
        assert buffer.reader.outbox_letter(Origin("labelled", 0, 1)) == letter(1, None)
        assert buffer.reader.outbox_letter(Origin("labelled", 1, 1)) is None
        # When they leave, acknowledged or erased, Then nothing is left of the size
        (one, _), *others = buffer.writer.outbox(10)
        assert [number for number, _ in buffer.writer.outbox(1, after=one)] == [others[0][0]]
        buffer.put(delete("a", offset=9))
        assert buffer.writer.outbox_size().letters == 2
        buffer.writer.acknowledge([number for number, _ in buffer.writer.outbox(10)])
        assert tuple(buffer.writer.outbox_size()) == (0, 0)

    def test_letters_are_read_a_few_megabytes_at_a_time(self, start: Open) -> None:
        buffer = start()
        buffer.writer.append([], {}, [letter(n, b"x" * (3 << 20)) for n in range(4)])
        assert len(buffer.writer.outbox(100)) == 2
        buffer.writer.append([], {}, [letter(9, b"x" * (12 << 20))])
        last = buffer.writer.outbox(100)[-1][0]
        rest = buffer.writer.outbox(100, after=last + 2)
        assert [len(found.value or b"") for _, found in rest] == [12 << 20]

    def test_waiting_letters_do_not_cost_events(self, start: Open) -> None:
        # Given a buffer within its size, and more waiting letters than that
        buffer = start(limits=BufferConfig(max_bytes=1 << 20))
        buffer.put(*many(100))
        buffer.writer.append([], {}, [letter(n, b"x" * (1 << 20)) for n in range(3)])
        # When it is maintained, Then no event goes
        buffer.writer.maintain({TASK: buffer.reader.last_seq(TASK)})
        assert buffer.writer.make_room()
        assert buffer.reader.stats(TASK).events == 100
        assert buffer.reader.size_bytes() < 1 << 20

    def test_everything_is_there_after_reopening(self, start: Open) -> None:
        buffer = start()
        buffer.put(*many(30), arrival("alone", label="x"))
        before = (buffer.reader.stats(TASK), list(buffer.reader.export()), buffer.changes())
        buffer.close()
        buffer = start()
        assert (buffer.reader.stats(TASK), list(buffer.reader.export()), buffer.changes()) == before
        buffer.put(*many(30, start=30))
        assert buffer.reader.stats(TASK).events == 60
        assert [c.seq for c in buffer.changes()] == sorted({c.seq for c in buffer.changes()})

    # identity

    def test_the_same_event_twice_counts_once(self, start: Open) -> None:
        buffer = start()
        assert buffer.outcomes(arrival("a", "text", "x"), arrival("a", "text", "x", offset=1)) == {
            "stored": 1,
            "duplicate": 1,
        }
        assert buffer.outcomes(arrival("a", "text", "x", offset=2)) == {"duplicate": 1}
        assert buffer.reader.stats(TASK).events == 1
        assert len(buffer.changes()) == 1

    def test_the_same_id_in_two_tasks_is_two_events(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(), "other": TaskConfig()})
        buffer.put(arrival("a", "one", "x"), arrival("a", "two", "y", task="other"))
        one, two = buffer.reader.get(TASK, "a"), buffer.reader.get("other", "a")
        assert one is not None
        assert two is not None
        assert (one.label, two.label) == ("x", "y")
        assert [c.event.task for c in buffer.changes("other")] == ["other"]
        assert buffer.reader.last_seq(TASK) < buffer.reader.last_seq("other")

    @pytest.mark.parametrize("label", ["x", 2.5, ("b", "a"), ()])
    def test_every_kind_of_label_and_input_comes_back(self, start: Open, label: str | float | tuple[str, ...]) -> None:
        buffer = start()
        given = arrival("a", "ünï", label, at=7.0, attributes={"region": "emea"}, source="crm")
        buffer.put(given)
        stored = buffer.reader.get(TASK, "a")
        assert stored is not None
        assert (stored.label, stored.input, stored.key) == (label, Input("ünï"), given.key)
        assert (stored.time, stored.label_time, stored.source) == (7.0, 7.0, "crm")
        assert (dict(stored.attributes), stored.revision) == ({"region": "emea"}, 0)

    # revisions

    def test_a_newer_label_revises(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", "text", "x", at=1))
        assert buffer.outcomes(arrival("a", label="y", at=2, offset=1)) == {"revision": 1}
        first, second = buffer.changes()
        assert (first.kind, first.event.label, first.event.revision) == (ChangeKind.LABEL, "x", 0)
        assert (second.kind, second.event.label, second.previous_label) == (ChangeKind.REVISE, "y", "x")
        assert (second.event.input, second.event.revision) == (Input("text"), 1)

    def test_an_older_label_that_comes_later_changes_nothing(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", "text", "x", at=5, label_time=4))
        assert buffer.outcomes(arrival("a", label="y", at=6, label_time=3, offset=1)) == {"ignored": 1}
        stored = buffer.reader.get(TASK, "a")
        assert stored is not None
        assert (stored.label, stored.label_time) == ("x", 4)
        assert len(buffer.changes()) == 1

    def test_equal_label_times_are_ordered_by_their_place(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", "text", "x", partition=1, offset=3))
        assert buffer.outcomes(arrival("a", label="y", partition=0, offset=9)) == {"ignored": 1}
        assert buffer.outcomes(arrival("a", label="z", partition=1, offset=4)) == {"revision": 1}

    def test_a_repeated_label_holds_from_its_latest_statement(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", "text", "x", at=1), arrival("a", label="x", at=9, offset=1))
        assert buffer.outcomes(arrival("a", label="y", at=5, offset=2)) == {"ignored": 1}

    def test_null_retracts_and_a_later_label_counts_again(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", "text", "x", at=1))
        assert buffer.outcomes(retract("a", at=2, offset=1)) == {"retracted": 1}
        stored = buffer.reader.get(TASK, "a")
        assert stored is not None
        assert stored.label is None
        assert buffer.reader.stats(TASK).labels == {}
        assert buffer.outcomes(arrival("a", label="x", at=3, offset=2)) == {"revision": 1}
        assert [c.kind for c in buffer.changes()] == [ChangeKind.LABEL, ChangeKind.RETRACT, ChangeKind.LABEL]
        assert buffer.reader.stats(TASK).labels == {"x": 1}

    def test_another_text_under_the_same_id_is_an_input_revision(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", "old", "x", at=1))
        old = buffer.reader.get(TASK, "a")
        # When text and label change at once
        assert buffer.outcomes(arrival("a", "new", "y", at=2, offset=1)) == {"revision": 1}
        # Then the log tells both, each as it was then
        first, second, third = buffer.changes()
        assert (first.event.input, second.event.input, third.event.input) == (Input("old"), Input("new"), Input("new"))
        assert old is not None
        assert (second.kind, second.previous_input, second.previous_key) == (ChangeKind.INPUT, Input("old"), old.key)
        assert (second.event.label, third.event.label, third.previous_label) == ("x", "y", "x")
        assert second.event.split == old.split
        # When the old text comes again from before, Then it changes nothing
        assert buffer.outcomes(arrival("a", "old", "y", at=1.5, offset=0)) == {"duplicate": 1}

    # labels that come alone

    def test_a_label_alone_waits_for_its_event(self, start: Open) -> None:
        buffer = start()
        assert buffer.outcomes(arrival("a", label="x", at=3), arrival("a", label="y", at=2, offset=1)) == {"pending": 2}
        assert buffer.reader.stats(TASK).pending_labels == 2
        assert buffer.outcomes(arrival("a", "text", at=1, offset=2)) == {"stored": 1, "late_label": 1}
        assert [(c.kind, c.event.label) for c in buffer.changes()] == [(ChangeKind.LABEL, "x")]
        assert buffer.reader.stats(TASK).pending_labels == 0

    def test_an_event_waits_for_its_label(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", "text", at=1))
        assert buffer.changes() == []
        assert buffer.outcomes(arrival("a", label="x", at=2, offset=1)) == {"late_label": 1}
        assert [(c.kind, c.event.input) for c in buffer.changes()] == [(ChangeKind.LABEL, Input("text"))]
        assert buffer.reader.stats(TASK).labels == {"x": 1}

    def test_waiting_labels_expire_and_are_counted(self, start: Open) -> None:
        buffer = start(limits=BufferConfig(pending_expiry_s=100))
        buffer.put(arrival("a", label="x"))
        buffer.clock.time += 99
        buffer.put(arrival("b", label="x"))
        buffer.clock.time += 2
        buffer.writer.maintain({})
        stats = buffer.reader.stats(TASK)
        assert (stats.pending_labels, stats.expired_labels) == (1, 1)
        assert buffer.outcomes(arrival("a", "text", offset=1)) == {"stored": 1}
        assert buffer.changes() == []

    # erasure

    def test_an_erased_event_is_hidden_at_once_and_purged_once_heads_have_passed(self, start: Open) -> None:
        buffer = start()
        buffer.put(*many(5))
        dead = b'{"id": "e1", "task": "support"}'
        buffer.writer.append([], {}, [letter(1, dead), letter(2, b'{"id": "e2"}'), letter(3, b'{"id": "e1"}')])
        # When it is erased, Then nobody sees it any more, except who folds the log
        assert buffer.outcomes(delete("e1", offset=9)) == {"erased": 1}
        assert buffer.reader.get(TASK, "e1") is None
        assert "e1" not in {e.id for e in buffer.reader.export()}
        assert "e1" not in {e.id for e in buffer.reader.sample(TASK, 99, balanced=False, seed=0)}
        assert [lt.origin.offset for _, lt in buffer.writer.outbox(9)] == [2]
        last = buffer.changes()[-1]
        assert buffer.reader.last_erasure(TASK) == last.seq
        assert (last.kind, last.event.input, last.previous_label) == (ChangeKind.ERASE, Input("text 1"), "c1")
        # When a head has still to pass it, Then it stays
        buffer.writer.maintain({TASK: last.seq - 1})
        assert buffer.changes()[-1] == last
        # When all have, Then every trace but the tombstone goes
        buffer.writer.maintain({TASK: last.seq})
        assert {c.event.id for c in buffer.changes()} == {"e0", "e2", "e3", "e4"}
        assert buffer.reader.last_seq(TASK) == last.seq
        assert buffer.reader.last_erasure(TASK) == 0
        assert buffer.outcomes(arrival("e1", "text 1", "c1", at=99), delete("e1")) == {"ignored": 1, "duplicate": 1}
        assert buffer.reader.stats(TASK).events == 4

    def test_the_whole_log_of_events_labelled_in_a_window(self, start: Open) -> None:
        # Given labels of second 10 and 20, one of them a correction, one without a log in the window, one erased
        buffer = start()
        buffer.put(arrival("a", "text a", "x", at=10), arrival("b", "text b", "x", at=10))
        buffer.put(arrival("c", "text c", "y", at=20), arrival("d", "text d", "y", at=20))
        buffer.put(arrival("a", "text a", "y", at=20, offset=1), arrival("a", "text a2", at=30, offset=2))
        buffer.put(delete("d", offset=9))
        # When one asks for a window
        found = {logs[0].event.id: logs for logs in buffer.reader.labelled_between(TASK, 20, 21)}
        # Then each event of it comes with all its changes, as the tail has them
        assert {name: [c.kind for c in logs] for name, logs in found.items()} == {
            "a": [ChangeKind.LABEL, ChangeKind.REVISE, ChangeKind.INPUT],
            "c": [ChangeKind.LABEL],
        }
        assert found["a"] == [change for change in buffer.changes() if change.event.id == "a"]
        assert list(buffer.reader.labelled_between(TASK, 21, 30)) == []

    def test_an_event_erased_before_it_came_never_comes(self, start: Open) -> None:
        buffer = start()
        buffer.put(arrival("a", label="x"))
        assert buffer.outcomes(delete("a")) == {"erased": 1}
        assert buffer.outcomes(arrival("a", "text", "x"), arrival("a", label="y")) == {"ignored": 2}
        stats = buffer.reader.stats(TASK)
        assert (stats.events, stats.pending_labels) == (0, 0)

    # the split

    def test_equal_inputs_share_a_split_that_never_changes(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=EVEN)})
        buffer.put(*many(300))
        splits = {e.input: e.split for e in buffer.reader.export()}
        assert set(splits.values()) == set(Split)
        buffer.put(*[arrival(f"again{i}", f"text {i}", "other", at=i) for i in range(300)])
        assert all(e.split == splits[e.input] for e in buffer.reader.export())

    def test_young_classes_train(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=EVEN)})
        buffer.put(*many(60, classes=1))
        events = list(buffer.reader.export())
        assert {e.split for e in events[:10]} == {Split.TRAIN}
        assert {e.split for e in events[10:]} == set(Split)

    def test_an_attribute_can_decide_the_split(self, start: Open) -> None:
        split = SplitConfig(by="attributes.customer", validation_ratio=0.3, holdout_ratio=0.3, min_train_rows=0)
        buffer = start(tasks={TASK: TaskConfig(split=split)})
        buffer.put(*[arrival(f"e{i}", f"text {i}", "x", attributes={"customer": f"k{i % 20}"}) for i in range(200)])
        sides: dict[str, set[Split]] = {}
        for event in buffer.reader.export():
            sides.setdefault(event.attributes["customer"], set()).add(event.split)
        assert all(len(side) == 1 for side in sides.values())
        assert set.union(*sides.values()) == set(Split)

    # samples and windows

    def test_a_balanced_sample_gives_each_class_the_same(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN)})
        sizes = {"big": 300, "mid": 100, "small": 4}
        buffer.put(*[arrival(f"{c}{i}", f"{c} {i}", c) for c, n in sizes.items() for i in range(n)])
        sample = buffer.reader.sample(TASK, 64, balanced=True, seed=1)
        assert Counter(e.label for e in sample) == {"big": 30, "mid": 30, "small": 4}
        assert len({e.id for e in sample}) == 64
        assert sample == buffer.reader.sample(TASK, 64, balanced=True, seed=1)
        assert sample != buffer.reader.sample(TASK, 64, balanced=True, seed=2)
        uniform = Counter(e.label for e in buffer.reader.sample(TASK, 202, balanced=False, seed=1))
        assert 130 <= uniform["big"] <= 170
        assert len(buffer.reader.sample(TASK, 1000, balanced=False, seed=1)) == 404
        assert len(buffer.reader.sample(TASK, 1000, balanced=True, seed=1)) == 404

    @pytest.mark.parametrize("balanced", [True, False])
    def test_a_sample_before_a_change_holds_nothing_newer(self, start: Open, balanced: bool) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN)})
        buffer.put(*many(20))
        seq = buffer.reader.last_seq(TASK)
        buffer.put(*many(3000, start=20), arrival("e3", label="c9", at=9999))
        sample = buffer.reader.sample(TASK, 10, balanced=balanced, seed=0, before_seq=seq)
        assert len({e.id for e in sample}) == 10
        assert {e.id for e in sample} <= {f"e{i}" for i in range(20) if i != 3}
        assert len(buffer.reader.sample(TASK, 3000, balanced=balanced, seed=0, before_seq=seq)) == 19

    def test_samples_hold_labelled_train_events_only(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=EVEN)})
        buffer.put(*many(200), *[arrival(f"u{i}", f"open {i}") for i in range(20)])
        buffer.put(*[retract(f"e{i}", at=999) for i in range(0, 50, 2)], *[delete(f"e{i}") for i in range(50, 60)])
        buffer.put(*[arrival(f"e{i}", label="moved", at=999) for i in range(60, 90, 3)])
        expected = {e.id: e for e in buffer.reader.export() if e.label is not None and e.split is Split.TRAIN}
        for balanced in (True, False):
            sample = buffer.reader.sample(TASK, 999, balanced=balanced, seed=0)
            assert {e.id: e for e in sample} == expected
        assert {e.id: e for e in buffer.reader.recent(TASK, 999, half_life=9, seed=0)} == expected
        assert {e.id: e for e in buffer.reader.reservoir(TASK, 999)} == expected
        stats = buffer.reader.stats(TASK)
        assert stats.labels == Counter(e.label for e in expected.values())
        assert stats.labelled[Split.TRAIN] == len(expected)
        assert stats.events == 210

    def test_a_recent_sample_halves_the_chance_with_age(self, start: Open) -> None:
        # Given 600 events, When 50 of the newest 500 are drawn again and again with a half-life of 50
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN)})
        buffer.put(*many(600))
        seq = buffer.reader.last_seq(TASK)
        buffer.put(*many(40, start=600))
        ages: list[int] = []
        for seed in range(40):
            drawn = buffer.reader.recent(TASK, 10, half_life=50, seed=seed, before_seq=seq)
            assert drawn == buffer.reader.recent(TASK, 10, half_life=50, seed=seed, before_seq=seq)
            assert len({e.id for e in drawn}) == 10
            ages += [599 - int(e.id[1:]) for e in drawn]
        # Then half of the draws are of the newest 50, a quarter of the next, none newer, and none of ten half-lives ago
        assert min(ages) >= 0
        assert max(ages) < 500
        assert 0.4 < sum(age < 50 for age in ages) / len(ages) < 0.6
        assert 0.65 < sum(age < 100 for age in ages) / len(ages) < 0.85

    def test_a_recent_sample_gives_everything_where_so_much_is_asked(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN)})
        buffer.put(*many(300), arrival("e5", label="c9", at=9999), retract("e6", at=9999))
        drawn = buffer.reader.recent(TASK, 299, half_life=1, seed=0)
        assert {e.id for e in drawn} == {f"e{i}" for i in range(300) if i != 6}
        # Then an event is as old as its label, and with so short a half-life the newest come first
        assert drawn[0].id in {"e5", "e299", "e298", "e297", "e296"}

    @pytest.mark.parametrize("others", [0, 5000])
    def test_a_reservoir_stays_and_lets_in_what_comes(self, start: Open, others: int) -> None:
        # Given 400 events of a task, alone or small beside another
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN), "other": TaskConfig()})
        buffer.put(*[arrival(f"o{i}", f"other {i}", "x", task="other") for i in range(others)])
        buffer.put(*many(400))
        first = [e.id for e in buffer.reader.reservoir(TASK, 100)]
        assert len(set(first)) == 100
        assert [e.id for e in buffer.reader.reservoir(TASK, 30)] == first[:30]
        # Then it is spread over time and classes
        assert 35 <= sum(int(id_[1:]) < 200 for id_ in first) <= 65
        # When 200 come, Then about a third of the places are theirs, and nothing else came in
        seq = buffer.reader.last_seq(TASK)
        buffer.put(*many(200, start=400))
        second = [e.id for e in buffer.reader.reservoir(TASK, 100)]
        came = {id_ for id_ in second if int(id_[1:]) >= 400}
        assert 18 <= len(came) <= 48
        assert set(second) - came < set(first)
        assert [e.id for e in buffer.reader.reservoir(TASK, 100, before_seq=seq)] == first
        # When ten members are erased or lose their label, Then the others stay and ten others come in
        buffer.put(*[delete(id_) for id_ in second[:5]], *[retract(id_, at=9999) for id_ in second[50:55]])
        third = [e.id for e in buffer.reader.reservoir(TASK, 100)]
        kept = [id_ for id_ in second if id_ not in {*second[:5], *second[50:55]}]
        assert third[:90] == kept
        assert len(set(third)) == 100

    def test_a_reservoir_of_the_oldest_is_filled_with_the_newest_allowed(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN)})
        buffer.put(*many(20))
        seq = buffer.reader.last_seq(TASK)
        buffer.put(*many(3000, start=20))
        kept = buffer.reader.reservoir(TASK, 10, before_seq=seq)
        assert len({e.id for e in kept}) == 10
        assert all(e.seq <= seq for e in kept)

    def test_labelled_gives_the_newest_of_a_window_oldest_first(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=ALL_TRAIN)})
        buffer.put(*many(10), arrival("e2", label="new", at=99))
        got = buffer.reader.labelled(TASK, Split.TRAIN, limit=3)
        assert [(e.id, e.label) for e in got] == [("e8", "c2"), ("e9", "c0"), ("e2", "new")]
        window = buffer.reader.labelled(TASK, Split.TRAIN, after_seq=2, before_seq=5, limit=9)
        assert [e.seq for e in window] == [4, 5]
        assert buffer.reader.labelled(TASK, Split.HOLDOUT, limit=9) == []

    def test_tail_pages(self, start: Open) -> None:
        buffer = start()
        buffer.put(*many(25))
        seen, cursor = [], 0
        while page := buffer.reader.tail(TASK, cursor, 10):
            seen += [c.event.id for c in page]
            cursor = page[-1].seq
        assert seen == [f"e{i}" for i in range(25)]
        assert cursor == buffer.reader.last_seq(TASK)

    def test_an_unknown_task_is_empty(self, start: Open) -> None:
        reader = start().reader
        assert (list(reader.tail("no", 0, 9)), reader.last_seq("no"), reader.stats("no").events) == ([], 0, 0)
        assert list(reader.sample("no", 9, balanced=True, seed=0)) == []
        assert list(reader.sample("no", 9, balanced=False, seed=0)) == []
        assert list(reader.recent("no", 9, half_life=5, seed=0)) == []
        assert list(reader.reservoir("no", 9)) == []
        assert reader.get("no", "a") is None

    # retention

    def test_age_takes_old_events_but_not_the_last_of_a_class(self, start: Open) -> None:
        buffer = start(limits=BufferConfig(max_age_s=100))
        buffer.clock.time = 150
        buffer.put(*[arrival(f"a{i}", f"a {i}", "big", at=i) for i in range(100)])
        buffer.put(*[arrival(f"b{i}", f"b {i}", "small", at=i) for i in range(5)])
        changes = buffer.reader.last_seq(TASK)
        buffer.writer.maintain({})
        kept = [e.id for e in buffer.reader.export()]
        assert kept == [f"a{i}" for i in range(50, 100)] + [f"b{i}" for i in range(5)]
        assert buffer.reader.last_seq(TASK) == changes
        # Then an evicted id that comes again is a duplicate
        assert buffer.outcomes(arrival("a3", "a 3", "big", at=500)) == {"duplicate": 1}
        assert buffer.outcomes(arrival("a3", label="small", at=600)) == {"ignored": 1}
        assert {e.id for e in buffer.reader.sample(TASK, 500, balanced=True, seed=0)} <= set(kept)

    def test_size_takes_the_oldest_of_the_biggest_class_first(self, start: Open) -> None:
        buffer = start(limits=BufferConfig(max_bytes=1 << 20))
        text = "x" * 400
        for first in range(0, 4000, 500):
            buffer.put(*[arrival(f"a{i}", f"{text} a{i}", "big", at=i) for i in range(first, first + 500)])
        buffer.put(*[arrival(f"b{i}", f"{text} b{i}", "small", at=i) for i in range(300)])
        assert buffer.reader.size_bytes() > 1 << 20
        # When it is maintained, by heads that passed everything
        for _ in range(5):
            buffer.writer.maintain({TASK: buffer.reader.last_seq(TASK)})
        # Then it fits, and the big class gave what was over
        kept = [e.id for e in buffer.reader.export()]
        assert buffer.reader.size_bytes() <= 1 << 20
        assert [i for i in kept if i[0] == "b"] == [f"b{i}" for i in range(300)]
        big = [int(i[1:]) for i in kept if i[0] == "a"]
        assert big == list(range(4000 - len(big), 4000))
        assert len(big) >= 300
        assert len(fold(buffer.changes())) == len(kept)

    def test_size_spares_what_a_head_has_not_passed_until_the_buffer_is_far_too_big(self, start: Open) -> None:
        buffer = start(limits=BufferConfig(max_bytes=1 << 20))
        count = 0
        while buffer.reader.size_bytes() <= 1.1 * (1 << 20):
            buffer.put(arrival(f"a{count}", f"{count} " + "x" * 2000, "big", at=count))
            count += 1
        # Given a head that has passed nothing, When it is a little too big, Then nothing goes
        buffer.writer.maintain({TASK: 0})
        assert buffer.reader.stats(TASK).events == count
        # When it is far too big, Then it goes all the same
        while buffer.reader.size_bytes() <= 1.3 * (1 << 20):
            buffer.put(arrival(f"a{count}", f"{count} " + "x" * 2000, "big", at=count))
            count += 1
        buffer.writer.maintain({TASK: 0})
        assert 0 < buffer.reader.stats(TASK).events < count
        assert buffer.reader.size_bytes() <= 1.25 * (1 << 20)

    def test_room_is_made_where_events_may_go_and_refused_where_none_may(self, start: Open) -> None:
        # Given events of one class that are far too many, unseen by any head
        buffer = start(limits=BufferConfig(max_bytes=1 << 20))
        assert buffer.writer.make_room()
        buffer.put(*[arrival(f"a{i}", f"{i} " + "x" * 2000, "big", at=i) for i in range(1000)])
        # When room is asked for, Then the oldest go, and it fits
        assert buffer.writer.make_room()
        assert buffer.reader.size_bytes() <= 1.25 * (1 << 20)
        kept = [int(e.id[1:]) for e in buffer.reader.export()]
        assert len(kept) >= 10
        assert kept == list(range(1000 - len(kept), 1000))
        # Given as much again in classes so small that they keep all they have
        buffer.put(*[arrival(f"s{i}", f"{i} " + "y" * 2000, f"c{i // 10}", at=i) for i in range(1000)])
        # Then there is no room
        assert not buffer.writer.make_room()
        assert len([e for e in buffer.reader.export() if e.id[0] == "s"]) == 1000

    def test_folding_the_log_gives_the_current_train_set(self, start: Open) -> None:
        buffer = start(tasks={TASK: TaskConfig(split=EVEN)})
        buffer.put(*many(100))
        buffer.put(*[arrival(f"e{i}", f"new {i}", "y", at=500, offset=i) for i in range(20)])
        buffer.put(*[arrival(f"e{i}", op=Op.RETRACT, at=600, offset=i) for i in range(10, 30)])
        expected = {e.id: (e.input, e.label) for e in buffer.reader.sample(TASK, 999, balanced=False, seed=0)}
        assert trained(fold(buffer.changes())) == expected
