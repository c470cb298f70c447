"""Following the alias and the weights, by looking and under load."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from daemon.errors import VersionCorrupt
from daemon.events import Input
from daemon.heads import store as head_store
from daemon.heads.ncm import NcmWeights
from daemon.registry.version import Version
from daemon.serving.predictor import Predictor
from daemon.serving.served import ServedModel
from daemon.serving.watch import Watcher
from tests.serving.fakes import CountingObserver
from tests.serving.tiny import HIDDEN, TASK, TinyRegistry, learnt, served, version

WORDS = ("aaaa", "bbbb", "cccc", "zzzz")


class Stage:
    """A registry of tiny versions, a directory of heads, a predictor and a watcher on a clock set by hand."""

    def __init__(self, heads: Path) -> None:
        self.heads, self.time = heads, 0.0
        self.registry, self.observer = TinyRegistry(), CountingObserver()
        self.models: dict[str, ServedModel] = {}
        self.predictor = Predictor(512, 64, self.observer)
        self.watcher = self.watch()

    def watch(self, fast: tuple[str, ...] | None = None, poll_s: float = 0.05) -> Watcher:
        return Watcher(
            self.registry.port,
            self.heads,
            self.predictor,
            [TASK],
            torch.device("cpu"),
            self.observer,
            poll_s,
            fast=fast,
            clock=self,
            load=self.load,
        )

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def publish(self, number: int, labels: tuple[str, ...] = ("first", "second"), *, cursor: int = 0) -> ServedModel:
        made = served(number, labels, cursor=cursor)
        self.models[made.version_id] = made
        self.registry.known[made.version_id] = version(number, cursor=cursor)
        return made

    def save(self, number: int, cursor: int, words: tuple[str, ...] = WORDS) -> None:
        model = self.models[f"{number:06d}"]
        state = learnt(model, [(word, f"label of {word}") for word in words], cursor)
        head_store.save_weights(self.directory(number), state.weights(), 0.5)

    def directory(self, number: int) -> Path:
        return self.heads / TASK / f"{number:06d}"

    def load(self, found: Version, directory: Path | None, device: torch.device) -> ServedModel:
        """As load_served, from memory: a fresh object, with the weights that are there."""
        kept = self.models[found.id]
        made = ServedModel(found, kept.model, kept.tokenizer, None, 0.5, kept.task)
        made.warm()
        if directory is None or head_store.weights_stamp(directory) is None:
            return made
        return made.with_weights(*head_store.load_weights(directory))

    def answer(self, word: str = "aaaa") -> tuple[str, int, str]:
        (found,) = self.predictor.submit(TASK, [Input(text=word)]).result(10)
        return found["version"], found["labels_seen"], found["label"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.predictor.close(10)


def test_it_is_ready_once_a_champion_answers(stage: Stage) -> None:
    # Given no champion
    assert stage.watcher.look() == 0
    assert not stage.watcher.ready(TASK)
    # When there is one
    stage.publish(1, cursor=5)
    stage.registry.champion = "000001"
    # Then it answers
    assert stage.watcher.look() == 1
    assert stage.watcher.all_ready()
    assert stage.answer()[:2] == ("000001", 5)
    # And looking again does nothing
    assert stage.watcher.look() == 0
    assert stage.registry.loads == ["000001"]


def test_it_follows_the_weights(stage: Stage) -> None:
    # Given a champion without weights
    stage.publish(1)
    stage.registry.champion = "000001"
    stage.watcher.look()
    # When weights are saved, twice
    for cursor in (3, 8):
        stage.save(1, cursor)
        # Then each is answered with, and the version is not loaded again
        assert stage.watcher.look() == 1
        assert stage.answer("cccc") == ("000001", cursor, "label of cccc")
    assert stage.registry.loads == ["000001"]
    assert stage.observer.counts["swaps_total", TASK] == 0


def test_it_follows_the_alias_and_back(stage: Stage) -> None:
    # Given two versions, each with its head
    for number, cursor in ((1, 10), (2, 20)):
        stage.publish(number)
        stage.save(number, cursor)
    stage.registry.champion = "000001"
    stage.watcher.look()
    # When the alias moves there and back
    answers = []
    for champion in ("000002", "000001"):
        stage.registry.champion = champion
        stage.watcher.look()
        answers.append(stage.answer()[:2])
    # Then the answers come from what it names
    assert answers == [("000002", 20), ("000001", 10)]
    assert stage.observer.counts["swaps_total", TASK] == 2


def test_labels_seen_never_goes_back(stage: Stage) -> None:
    # Given a champion that answers at cursor 10
    stage.publish(1)
    stage.publish(2)
    stage.registry.champion = "000001"
    stage.save(1, 10)
    stage.watcher.look()
    # When somebody puts older ones there
    (stage.directory(1) / "weights.json").unlink()
    stage.save(1, 4, WORDS[:1])
    # Then these weights are passed over
    assert stage.watcher.look() == 0
    assert stage.answer()[:2] == ("000001", 10)
    # And so they are after another version was served for a while
    for champion, seen in (("000002", 0), ("000001", 10)):
        stage.registry.champion = champion
        stage.watcher.look()
        assert stage.answer()[:2] == (champion, seen)
    # And once it has caught up, it goes on
    stage.save(1, 11)
    stage.watcher.look()
    assert stage.answer()[:2] == ("000001", 11)


def test_a_changed_blend_at_the_same_cursor_is_taken(stage: Stage) -> None:
    # Given a champion with weights
    stage.publish(1)
    stage.registry.champion = "000001"
    stage.save(1, 10)
    stage.watcher.look()
    # When they are saved with another blend
    weights, _ = head_store.load_weights(stage.directory(1))
    head_store.save_weights(stage.directory(1), weights, 1.0)
    # Then it is answered with
    assert stage.watcher.look() == 1
    current = stage.predictor.current(TASK)
    assert isinstance(current, ServedModel)
    assert current.blend == 1.0


def test_a_task_without_a_fast_head_leaves_old_weights_alone(stage: Stage) -> None:
    # Given weights left from when the task had a fast head
    stage.publish(1, cursor=2)
    stage.save(1, 10)
    stage.registry.champion = "000001"
    # When a watcher is told that it has none now
    stage.watch(fast=()).look()
    # Then the tuned head answers alone
    assert stage.answer()[:2] == ("000001", 2)


def test_a_version_that_does_not_load_changes_nothing(stage: Stage) -> None:
    # Given a champion, and a successor whose encoder is broken
    stage.publish(1)
    stage.registry.champion = "000001"
    stage.watcher.look()
    broken = stage.publish(2)
    with torch.no_grad():
        broken.model.encoder.get_parameter("table").fill_(float("nan"))
    stage.registry.champion = "000002"
    # When it looks many times
    for _ in range(50):
        assert stage.watcher.look() == 0
    # Then the old one answers, and the failure was tried and counted once
    assert stage.answer()[0] == "000001"
    assert stage.registry.loads == ["000001", "000002"]
    assert stage.observer.counts["swap_failures_total", TASK] == 1
    # And it is tried again after growing pauses
    for pause in (0.5, 1.0, 2.0):
        stage.time += pause * 0.9
        stage.watcher.look()
        before = len(stage.registry.loads)
        stage.time += pause * 0.2
        stage.watcher.look()
        assert len(stage.registry.loads) == before + 1
    # And another one is loaded at once
    stage.publish(3)
    stage.registry.champion = "000003"
    assert stage.watcher.look() == 1
    assert stage.answer()[0] == "000003"


def test_a_version_that_does_not_load_is_not_tried_at_every_label(stage: Stage) -> None:
    # Given a successor whose weights are broken
    stage.publish(1)
    stage.publish(2)
    stage.registry.champion = "000001"
    stage.watcher.look()
    stage.registry.champion = "000002"
    wrong = NcmWeights(1, ("a",), np.ones((1, HIDDEN), np.float32), 20.0, 3)
    # When the learner writes others all the time
    for i in range(20):
        head_store.save_weights(stage.directory(2), wrong, i / 20)
        stage.watcher.look()
    # Then it was tried once
    assert stage.registry.loads == ["000001", "000002"]
    # And half a second after good ones are there it answers
    stage.save(2, 5)
    stage.time += 0.6
    stage.watcher.look()
    assert stage.answer()[:2] == ("000002", 5)


def test_an_alias_that_cannot_be_read_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a champion, and a registry that fails for a while
    stage.publish(1)
    stage.publish(2)
    stage.registry.champion = "000001"
    stage.watcher.look()

    def fail(task: str, name: str) -> str | None:
        raise OSError("stale file handle")

    with monkeypatch.context() as broken:
        broken.setattr(stage.registry, "alias", fail)
        for _ in range(20):
            stage.watcher.look()
    # Then it was tried once, and the champion answers on
    assert stage.observer.counts["swap_failures_total", TASK] == 1
    assert stage.answer()[0] == "000001"
    # And half a second later the next one is followed
    stage.registry.champion = "000002"
    stage.time += 0.6
    stage.watcher.look()
    assert stage.answer()[0] == "000002"


def test_an_unknown_version_changes_nothing(stage: Stage) -> None:
    # Given a champion
    stage.publish(1)
    stage.registry.champion = "000001"
    stage.watcher.look()
    # When the alias names what is not there
    stage.registry.champion = "000009"
    stage.watcher.look()
    # Then it answers on
    assert stage.answer()[0] == "000001"
    # And when the alias is back nothing is loaded again
    stage.registry.champion = "000001"
    assert stage.watcher.look() == 0


@pytest.mark.parametrize("how", ["bytes", "width", "pointer"])
def test_weights_that_do_not_load_change_nothing(stage: Stage, how: str) -> None:
    # Given a champion with weights
    stage.publish(1)
    stage.registry.champion = "000001"
    stage.save(1, 10)
    stage.watcher.look()
    # When broken ones come
    directory = stage.directory(1)
    if how == "width":
        wrong = NcmWeights(11, ("a",), np.ones((1, HIDDEN), np.float32), 20.0, 3)
        head_store.save_weights(directory, wrong, 0.5)
    elif how == "bytes":
        stage.save(1, 11)
        (file,) = directory.glob("weights-*.safetensors")
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    else:
        (directory / "weights.json").write_text("{")
    for _ in range(20):
        stage.watcher.look()
    # Then the old ones answer, and it was counted once
    assert stage.answer("bbbb") == ("000001", 10, "label of bbbb")
    assert stage.observer.counts["swap_failures_total", TASK] == 1
    # And good ones are taken at once
    stage.save(1, 12)
    stage.watcher.look()
    assert stage.answer()[:2] == ("000001", 12)


def test_the_old_version_is_freed(stage: Stage) -> None:
    # Given a champion that is replaced
    stage.publish(1)
    stage.save(1, 3)
    stage.registry.champion = "000001"
    stage.watcher.look()
    stage.answer()
    gone = weakref.ref(stage.predictor.current(TASK) or stage)
    stage.publish(2)
    stage.registry.champion = "000002"
    stage.watcher.look()
    stage.answer()
    # Then nothing holds the old one
    deadline = time.monotonic() + 5
    while gone() is not None and time.monotonic() < deadline:
        gc.collect()
    assert gone() is None


def test_two_hundred_swaps_under_load(stage: Stage) -> None:
    # Given five versions with different encoders and labels, a watcher's thread, and eight who ask
    for number in range(1, 6):
        stage.publish(number, tuple(f"{number}.{i}" for i in range(number)), cursor=number)
        stage.save(number, 10 * number)
    stage.registry.champion = "000001"
    watcher = stage.watch(poll_s=0.0005)
    watcher.start()
    while not watcher.all_ready():
        time.sleep(0.001)
    over = threading.Event()
    answers: list[list[tuple[str, str, int, dict[str, float]]]] = [[] for _ in range(8)]
    failures: list[BaseException] = []

    def ask(mine: list[tuple[str, str, int, dict[str, float]]], number: int) -> None:
        try:
            at = number
            while not over.is_set():
                word = WORDS[at % len(WORDS)]
                (found,) = stage.predictor.submit(TASK, [Input(text=word)], 10, block=True).result(10)
                mine.append((word, found["version"], found["labels_seen"], dict(found["scores"])))
                at += 1
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(mine, n)) for n, mine in enumerate(answers)]
    for thread in threads:
        thread.start()
    # When the champion changes 200 times, and its weights between, each awaited in the answers
    cursors = {f"{number:06d}": 10 * number for number in range(1, 6)}
    kept = {
        (name, cursor): stage.load(stage.registry.known[name], stage.directory(int(name)), torch.device("cpu"))
        for name, cursor in cursors.items()
    }
    for swap in range(200):
        number = 1 + (swap + 1) % 5
        name = f"{number:06d}"
        if swap % 4 == 0:
            cursors[name] += 1
            stage.save(number, cursors[name], WORDS[: 1 + swap % 4])
            kept[name, cursors[name]] = stage.load(
                stage.registry.known[name], stage.directory(number), torch.device("cpu")
            )
        stage.registry.champion = name
        deadline = time.monotonic() + 10
        while stage.answer()[:2] != (name, cursors[name]):
            assert time.monotonic() < deadline, "a swap that silently never happened"
    over.set()
    for thread in threads:
        thread.join(10)
    watcher.close()
    # Then no request failed
    assert not failures
    # And each answer is, worked out again, that of its (version, labels_seen)
    again = {
        key: {word: model.answer([Input(text=word)], 10)[0]["scores"] for word in WORDS} for key, model in kept.items()
    }
    for mine in answers:
        assert len(mine) > 50
        for word, name, seen, scores in mine:
            assert scores == pytest.approx(again[name, seen][word], abs=1e-6)
    # And labels_seen never went back for a version
    for mine in answers:
        for name in cursors:
            seen_by_version = [seen for _, version_id, seen, _ in mine if version_id == name]
            assert seen_by_version == sorted(seen_by_version)
    assert stage.observer.counts["swaps_total", TASK] == 200


def test_closing_a_watcher_that_was_never_started_is_harmless(stage: Stage) -> None:
    # Given a watcher without a thread
    # When it is closed
    stage.watcher.close()
    # Then nothing happens
    assert not stage.watcher.all_ready()


def test_a_failure_is_told_as_a_version_error() -> None:
    # Given weights that do not fit
    model = served(1)
    # Then the error is one of the tree
    with pytest.raises(VersionCorrupt):
        model.with_weights(NcmWeights(1, ("a",), np.ones((1, 5), np.float32), 20.0, 3), 0.5)
