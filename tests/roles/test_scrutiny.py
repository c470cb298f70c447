"""Labels judged while they are folded: real buffer, learner and nearest class mean; only the encoder is a stand-in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from daemon.clock import SystemClock
from daemon.errors import CommandRefused
from daemon.events import Input, Split
from daemon.heads.ncm import NcmState
from daemon.heads.outputs import HeadOutputs
from daemon.roles.commands import COMMANDS, MOST_RELEASED
from daemon.roles.control import Control
from daemon.roles.fast import FastLearner
from daemon.roles.learn import LearnRole
from daemon.roles.learner import TaskLearner
from daemon.roles.opening import read_version
from daemon.serving.served import ServedModel
from daemon.tasks.schema import get_schema
from daemon.trust.entries import Given
from daemon.update.eligible import Window
from daemon.update.job import read_rows
from tests.buffer.support import TASK, arrival, delete, retract
from tests.roles.bench import Bench

CLASSES = ("a", "b", "c", "d")
WRONG_EVERY = 4


class Apart(ServedModel):
    """Features [B, H] about a centre for each class, which a text names with its first word."""

    def __init__(self, served: ServedModel) -> None:
        super().__init__(served.version, served.model, served.tokenizer, None, served.blend, served.task)

    def heads(self, inputs: Sequence[Input], layers: int) -> HeadOutputs:
        found = super().heads(inputs, layers)
        return replace(found, features=np.stack([self._one(value.text or "") for value in inputs])) if inputs else found

    def _one(self, text: str) -> NDArray[np.float32]:
        draw = np.random.default_rng(int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big"))
        vector = 0.05 * draw.normal(size=self.model.encoder.hidden_size)
        if text[0] in CLASSES:  # and not the words of a new label
            vector[CLASSES.index(text[0])] += 1.0
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


class Scene(Bench):
    """Two sources in turn; every fourth label of the careless one is wrong, as ``wrong`` remembers."""

    def __init__(self, root: Path, base: str, sources: Sequence[str] = ("careful", "careless")) -> None:
        super().__init__(root, base)
        self.sources, self.wrong = sources, set[str]()
        self.again()

    def again(self) -> TaskLearner:
        """As after a restart."""
        self.learner = self.open()
        self.learner.fast.served = Apart(self.learner.fast.served)
        return self.learner

    def told(self, count: int) -> None:
        arrivals = []
        for number in range(self.count, self.count + count):
            turn, true = number // len(CLASSES), number % len(CLASSES)
            source = self.sources[turn % len(self.sources)]
            wrong = source == "careless" and (turn // len(self.sources) + true) % WRONG_EVERY == 0
            said = CLASSES[(true + 1 + turn % 3) % len(CLASSES)] if wrong else CLASSES[true]
            if wrong:
                self.wrong.add(f"e{number}")
            text = f"{CLASSES[true]} {number}"
            arrivals.append(arrival(f"e{number}", text, said, offset=number, at=float(number), source=source))
        self.buffer.put(*arrivals)
        self.count += count

    def fold(self, slices: int = 64) -> None:
        while self.learner.fast.fold(slices):
            pass

    @property
    def held(self) -> frozenset[str]:
        return self.learner.ledger.suspects.ids

    @property
    def state(self) -> NcmState:
        found = self.learner.fast.state
        assert isinstance(found, NcmState)
        return found

    def inside(self, event_id: str) -> bool:
        event = self.buffer.reader.get(TASK, event_id)
        assert event is not None
        return self.state.holds(event.key, event_id)

    def sums(self) -> Mapping[str, NDArray[Any]]:
        return {name: array for name, array in self.state.tensors().items() if name in ("sums", "counts")}


@pytest.fixture
def scene(tmp_path: Path, base: str) -> Iterator[Scene]:
    made = Scene(tmp_path / "state", base)
    yield made
    made.buffer.close()


def test_given_a_careless_source_when_folded_then_its_wrong_labels_are_held_back_and_no_others(scene: Scene) -> None:
    scene.told(800)
    scene.fold()
    assert scene.held <= scene.wrong
    # Then all that is missing is what came while classes were young, or has not been looked at yet
    assert len(scene.held) > 0.9 * len(scene.wrong)
    splits = {event_id: scene.buffer.reader.get(TASK, event_id) for event_id in scene.held}
    assert {event.split for event in splits.values() if event} == set(Split)
    # And the fast head has none of them
    assert [event_id for event_id in scene.held if scene.inside(event_id)] == []


def test_given_one_source_when_folded_then_nothing_is_held_back(tmp_path: Path, base: str) -> None:
    scene = Scene(tmp_path / "state", base, ("careless",))
    scene.told(400)
    scene.fold()
    assert len(scene.wrong) > 50
    assert not scene.held
    scene.buffer.close()


def test_given_a_class_that_is_young_then_its_labels_count_whoever_gives_them(scene: Scene) -> None:
    scene.told(800)
    scene.fold()
    # When the distrusted source brings a new class, with texts that the model takes for an old one
    new = [f"n{number}" for number in range(9)]
    scene.buffer.put(
        *(arrival(name, f"a new {name}", "new", offset=2000 + i, source="careless") for i, name in enumerate(new))
    )
    scene.fold()
    assert not scene.held & set(new)
    assert "new" in scene.state.labels


def test_given_wrong_labels_of_young_classes_when_these_have_grown_then_they_are_held_back_too(scene: Scene) -> None:
    # Given wrong labels among the first ten of each class
    scene.told(40)
    scene.fold()
    early = frozenset(scene.wrong)
    assert early
    assert not scene.held
    # When enough has come to know the source, and the classes, then they are looked at once more
    scene.told(1160)
    scene.fold()
    assert early <= scene.held
    assert not any(map(scene.inside, early))


def test_given_a_suspect_that_the_buffer_evicted_when_looked_for_then_it_is_forgotten(scene: Scene) -> None:
    scene.learner.ledger.suspects.put(Given("gone", bytes(16).hex(), "a", "careless", 1, True))
    scene.told(300)
    scene.fold()
    assert "gone" not in scene.held


def test_given_a_release_of_a_label_that_a_rollback_left_out_then_it_stays_out(scene: Scene) -> None:
    scene.told(800)
    scene.fold()
    scene.learner.snapshot()
    first, last = (sorted((i for i in scene.held if _trains(scene, i)), key=_number)[place] for place in (0, -1))
    # Given a rollback that left out labels of the time of one of two suspects
    around, ledger = scene.paths, scene.learner.ledger
    windows = [Window(_number(last), _number(last) + 1.0)]
    version, schema = scene.learner.fast.version, get_schema("sequence")
    cpu = torch.device("cpu")
    opened = read_version(TASK, scene.config, schema, version, around, cpu)
    fast = FastLearner.open(TASK, scene.config, schema, scene.buffer.reader, opened, ledger, windows)
    fast.served = Apart(fast.served)
    # When both are released
    assert ledger.obey([[first, last]]) == 2
    fast.fold(64)
    # Then the other one counts
    events = [scene.buffer.reader.get(TASK, event_id) for event_id in (first, last)]
    assert fast.state is not None
    assert [fast.state.holds(event.key, event.id) for event in events if event] == [True, False]


def test_given_a_release_of_a_label_whose_text_was_changed_then_the_old_text_does_not_come_back(
    tmp_path: Path, base: str, scene: Scene
) -> None:
    # Given a suspect with a text that came after what was folded
    other = Scene(tmp_path / "other", base)
    for each in (scene, other):
        each.told(800)
        each.fold()
    changed = min((i for i in scene.held if _trains(scene, i)), key=_number)
    event = scene.buffer.reader.get(TASK, changed)
    assert event is not None
    text = f"{event.label} another"
    for each in (scene, other):
        each.buffer.put(arrival(changed, text, event.label, offset=3000, at=5000.0, source="careless"))
    # When it is released before that is folded, and in the other case not at all
    assert scene.learner.ledger.obey([[changed]]) == 1
    for each in (scene, other):
        each.fold()
    # Then the label counts for the new text alone
    assert scene.inside(changed)
    for name, array in other.sums().items():
        np.testing.assert_allclose(scene.sums()[name], array, atol=1e-9)
    other.buffer.close()


@pytest.mark.parametrize("slices", [1, 7, 50])
def test_given_another_slicing_or_a_restart_then_the_verdicts_are_the_same(
    tmp_path: Path, base: str, scene: Scene, slices: int
) -> None:
    scene.told(600)
    scene.fold()
    # Given the same log, in other slices, with restarts in the middle of blocks
    other = Scene(tmp_path / "other", base)
    for part in (173, 211, *(12,) * 18):
        other.told(part)
        other.fold(slices)
        other.learner.snapshot()
        other.again()
    assert other.held == scene.held
    assert other.learner.ledger.summary() == scene.learner.ledger.summary()
    odds = {row.id: row.odds for row in scene.learner.ledger.suspects}
    assert {row.id: row.odds for row in other.learner.ledger.suspects} == pytest.approx(odds, rel=1e-4)
    for name, array in scene.sums().items():
        np.testing.assert_allclose(other.sums()[name], array, atol=1e-9)
    other.buffer.close()


def test_given_a_crash_between_ledger_and_head_then_no_label_is_judged_twice(scene: Scene) -> None:
    scene.told(400)
    scene.fold()
    scene.learner.snapshot()
    scene.told(400)
    scene.fold()
    before, sums = scene.learner.ledger.summary(), scene.sums()
    # Given the ledger is on disk and the HeadState is not
    scene.learner.ledger.save()
    scene.again()
    assert scene.state.cursor < scene.learner.ledger.cursor
    # When the log is folded again
    scene.fold()
    assert scene.learner.ledger.summary() == before
    for name, array in sums.items():
        np.testing.assert_allclose(scene.sums()[name], array, atol=1e-9)


def test_given_suspects_when_a_job_is_frozen_then_it_has_none_of_them(scene: Scene) -> None:
    scene.told(800)
    scene.fold()
    scene.executor.running = True
    scene.learner.ask("test")
    scene.learner.step()
    (job,) = [path for path in scene.paths.jobs.iterdir() if path.name.isdigit()]
    rows = {name: read_rows(job, name) for name in ("new", "validation", "holdout", "refit")}
    assert all(rows.values())
    assert not scene.held & {event.id for part in rows.values() for event in part}


def test_given_a_release_through_control_then_the_label_counts_again(scene: Scene) -> None:
    scene.told(800)
    scene.fold()
    trained = sorted(scene.held - {i for i in scene.held if not _trains(scene, i)})
    control = Control(scene.paths.control)
    role = LearnRole(lambda: {TASK: scene.learner}, scene.registry, SystemClock(), control)
    role.open()
    number = control.submit("release", TASK, {"ids": trained[:2]}, "me", "read them")
    role.step()
    assert control.wait(number, 1.0).details == {"task": TASK, "released": 2}
    control.close()
    scene.fold()
    assert not scene.held & set(trained[:2])
    assert [scene.inside(event_id) for event_id in trained[:3]] == [True, True, False]
    # And so it is after a restart without a snapshot
    scene.again()
    scene.fold()
    assert [scene.inside(event_id) for event_id in trained[:3]] == [True, True, False]


def test_given_a_release_without_a_daemon_then_the_next_start_lets_it_in(scene: Scene) -> None:
    scene.told(800)
    scene.fold()
    scene.learner.snapshot()
    released = sorted(i for i in scene.held if _trains(scene, i))[0]
    COMMANDS["release"](scene.registry, scene.clock, TASK, {"ids": [released]}, "me", "")
    scene.again()
    scene.fold()
    assert released not in scene.held
    assert scene.inside(released)


@pytest.mark.parametrize("count", [0, MOST_RELEASED + 1])
def test_given_a_release_of_none_or_too_many_then_it_is_refused_and_no_history(scene: Scene, count: int) -> None:
    with pytest.raises(CommandRefused, match=rf"release: {count} ids; from 1 to {MOST_RELEASED}"):
        COMMANDS["release"](scene.registry, scene.clock, TASK, {"ids": [f"e{i}" for i in range(count)]}, "me", "")
    assert "labels_released" not in scene.kinds()


def test_given_a_suspect_that_is_corrected_retracted_or_erased_then_it_is_held_back_no_longer(scene: Scene) -> None:
    scene.told(800)
    scene.fold()
    corrected, withdrawn, erased = sorted(i for i in scene.held if _trains(scene, i))[:3]
    event = scene.buffer.reader.get(TASK, corrected)
    assert event is not None
    assert event.input.text is not None
    scene.buffer.put(
        arrival(corrected, None, event.input.text[0], offset=3000, at=5000.0, source="careless"),
        retract(withdrawn, offset=3001, at=5000.0),
        delete(erased, offset=3002),
    )
    scene.fold()
    assert not scene.held & {corrected, withdrawn, erased}
    assert scene.inside(corrected)
    assert not scene.inside(withdrawn)
    scene.learner.ledger.save()
    assert f'"{erased}"' not in scene.paths.ledger(TASK).read_text()


def _number(event_id: str) -> int:
    return int(event_id[1:])


def _trains(scene: Scene, event_id: str) -> bool:
    event = scene.buffer.reader.get(TASK, event_id)
    return event is not None and event.split is Split.TRAIN
