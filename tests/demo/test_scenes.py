"""A claim that does not come true is found and told. The daemon is played by a small one in this process."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from daemon.demo import scenes, story
from daemon.demo.chapters import chapters
from daemon.demo.host import Host, OutOfTime
from daemon.demo.report import Report
from daemon.demo.simulator import Chapter, Simulator
from daemon.demo.stage import Stage
from daemon.demo.teller import Silent
from daemon.errors import RetaindError

BY_NAME = {chapter.name: chapter for chapter in chapters()}


class FakeHost(Host):
    """Answers everything with the label that the simulator meant; an import of many labels sets off an update,
    of which ``promote`` is the verdict. ``believes``: withdrawn labels stay in the answers; ``harmless``: a candidate
    that is not promoted passed all the same."""

    def __init__(
        self, directory: Path, chapter: Chapter, *, promote: bool, believes: bool = False, harmless: bool = False
    ) -> None:
        super().__init__(directory, time.monotonic() + 20)
        simulator = Simulator(0)
        self._right = {case.text: case.right for case in (*simulator.cases(chapter), *simulator.probes(chapter, 48))}
        self._promote, self._believes, self._wrong = promote, believes, False
        self._decision = "pass" if promote or harmless else "fail"
        self._version = "000001"

    def settled(self) -> bool:
        return True

    def call(self, path: str, body: object, method: str = "POST") -> dict[str, Any]:
        assert isinstance(body, dict | list)
        if path == "/v1/events":
            return self._learn(body)
        assert isinstance(body, dict)
        if path == "/v1/predict":
            answers = [self._answer(row["text"]) for row in body.get("instances", [body])]
            return {"predictions": answers} if "instances" in body else answers[0]
        if (path, method) == ("/v1/tasks/desk/champion", "PUT"):
            self._version = str(body["version"])
            return {}
        raise AssertionError(path)

    def _answer(self, text: str) -> dict[str, Any]:
        return {"label": "?" if self._wrong else self._right.get(text, "?"), "version": self._version}

    def _learn(self, records: Any) -> dict[str, Any]:
        if len(records) > 100:
            withdrawn = records[0]["label"] is None
            self._wrong = self._believes or not withdrawn
            if not withdrawn:
                self._end_update()
        return {"acknowledged": len(records)}

    def _end_update(self) -> None:
        directory = self.state / "jobs" / "000001"
        directory.mkdir(parents=True)
        (directory / "job.json").write_text("{}")
        done = {"version": "000002", "decision": self._decision, "promoted": self._promote, "rows": 90, "checks": []}
        (directory / "done.json").write_text(json.dumps({**done, "champion": 0.9, "candidate": 0.5}))
        if self._promote:
            self._version = "000002"


def stage(tmp_path: Path, name: str, **behaviour: bool) -> Stage:
    host = FakeHost(tmp_path, BY_NAME[name], **behaviour)
    made = Stage(host, Simulator(0), Silent(), Report(0))
    made.chapter = BY_NAME[name]
    made.prequential.begin()
    return made


def claims(made: Stage) -> list[bool]:
    return [expectation.met for expectation in made.report.expectations]


def test_a_rejected_candidate_and_labels_that_leave_are_what_was_claimed(tmp_path: Path) -> None:
    made = stage(tmp_path, "noisy-source", promote=False)
    scenes.noisy_source(made, BY_NAME["noisy-source"])
    assert claims(made) == [True, True]
    assert made.report.moves == ["000001"]


def test_a_gate_that_promotes_the_poisoned_candidate_fails_the_demo(tmp_path: Path) -> None:
    # Given a daemon that promotes what learnt from wrong labels
    made = stage(tmp_path, "noisy-source", promote=True)
    # When the scene is played
    scenes.noisy_source(made, BY_NAME["noisy-source"])
    # Then the claim is not met, and says which version answers
    broken = made.report.expectations[0]
    assert not broken.met
    assert "000002 pass" in broken.found
    assert "000001 still answers" in broken.expected
    assert not made.report.met


@pytest.mark.parametrize("harmless", [True, False])
def test_an_update_without_a_gain_is_promoted_by_hand_where_it_does_no_harm(tmp_path: Path, harmless: bool) -> None:
    # Given an update that the gate did not promote
    made = stage(tmp_path, "noisy-source", promote=False, harmless=harmless)
    made.host.send([case.event() for case in made.simulator.cases(BY_NAME["noisy-source"])])
    # When the chapter wants to show a swap
    scenes.shown(made, made.until_updated(0), "000001")
    # Then it does, unless the gate found harm
    assert claims(made) == [harmless]
    assert made.version() == ("000002" if harmless else "000001")


def test_labels_that_stay_after_they_were_withdrawn_fail_the_demo(tmp_path: Path) -> None:
    made = stage(tmp_path, "noisy-source", promote=False, believes=True)
    scenes.noisy_source(made, BY_NAME["noisy-source"])
    assert claims(made) == [True, False]


def test_accuracy_that_does_not_fall_is_not_claimed_to_have_fallen(tmp_path: Path) -> None:
    # Given a daemon that knows the new words already
    made = stage(tmp_path, "new-words", promote=False)
    made.prequential.add([True] * 50)
    made.prequential.begin()
    (made.host.state / "jobs").mkdir(parents=True)
    ended = {"version": "000002", "decision": "fail", "promoted": False, "rows": 9, "checks": []}
    made.teller = _EndsAnUpdate(made.host.state / "jobs", ended)
    # When the words change
    scenes.new_words(made, BY_NAME["new-words"])
    # Then neither fall, nor promotion, nor recovery is claimed
    assert claims(made) == [False, False, False]


class _EndsAnUpdate(Silent):
    """Lets an update end as soon as anybody looks."""

    def __init__(self, jobs: Path, done: dict[str, Any]) -> None:
        self._directory, self._done = jobs / "000001", done

    def standing(self, *args: Any) -> None:
        self._directory.mkdir(exist_ok=True)
        (self._directory / "done.json").write_text(json.dumps({**self._done, "champion": 0.9, "candidate": 0.9}))


def test_every_chapter_has_its_scene() -> None:
    assert [chapter.name for chapter in chapters()] == list(scenes.SCENES)


def test_what_does_not_come_in_time_is_named(tmp_path: Path) -> None:
    host = Host(tmp_path, time.monotonic() + 0.05)
    (tmp_path / "log.txt").write_text("the last words of the daemon")
    with pytest.raises(OutOfTime, match="a verdict: did not come within the demo's time") as raised:
        host.wait(lambda: False, "a verdict")
    assert "the last words of the daemon" in str(raised.value)


@pytest.mark.slow
def test_a_daemon_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    # Given a configuration that is refused
    settings = story.Settings(30, sets=("tasks.desk.trigger.min_events=none",))
    # When the demo is told, then the daemon's own line is in the error
    with pytest.raises(RetaindError, match=r"min_events.*must be a whole number"):
        story.tell(settings, Silent())
