"""The learner of one task: folds, freezes, trains, judges, swaps, and goes on after faults."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from daemon.beside import AT_ONCE
from daemon.config.task import Gate, Labels, Update
from daemon.errors import CommandRefused, StoreFull, UnknownVersion
from daemon.events import Input
from daemon.heads.store import state_cursor
from daemon.registry.card import card
from daemon.registry.diff import diff
from daemon.registry.lineage import trained_on
from daemon.roles import learner as learning
from daemon.roles.commands import COMMANDS
from daemon.roles.learner import CATCH_UP
from daemon.roles.overview import task_status
from daemon.roles.standing import standing
from daemon.testing import Later
from daemon.trust.errors import Errors
from daemon.update.job import read_rows
from tests.buffer.support import TASK, arrival, delete, retract
from tests.roles.bench import Bench


def test_given_enough_labels_when_stepping_then_a_version_is_trained_judged_and_served(bench: Bench) -> None:
    assert bench.champion == "000001"
    bench.label(8)
    bench.settle()
    assert bench.champion == "000002"
    assert bench.learner.fast.version.id == "000002"
    assert bench.learner.fast.cursor == bench.buffer.reader.last_seq(TASK)
    assert bench.kinds()[-2:] == ["promoted", "verdict"]
    # And the version's card tells of what it was made, and what distinguishes it from the base
    text = card(bench.registry, "000002")
    assert "| class 0 | 3 | 0 | 0 | 0 |" in text
    assert "**insufficient**, promoted, on 0 holdout rows against version 000001" in text
    found = diff(bench.registry, "000001", "000002")
    assert found["labels"] == {"added": ["class 0", "class 1", "class 2"], "removed": []}
    assert found["config"]["tune.kind"] == [None, "head"]


def test_given_a_rejection_when_more_labels_come_then_the_next_update_waits_and_is_a_look(bench: Bench) -> None:
    # Given a gate that promotes nothing
    bench.config = bench.config.model_copy(update={"gate": Gate(insufficient="reject")})
    bench.learner = bench.open()
    bench.label(6)
    bench.settle()
    assert bench.kinds()[-1] == "rejected"
    # When as many come again, nothing starts; when twice as many have come, an update of the newest starts
    bench.label(6)
    bench.settle()
    assert bench.executor.started == 1
    bench.label(10)
    bench.settle()
    assert [job_counts(bench, number)["new"] for number in (1, 2)] == [6, 6]
    # But one that was asked for takes all
    bench.label(8)
    bench.learner.ask("me")
    bench.settle()
    assert job_counts(bench, 3)["new"] == 8


def test_given_a_joint_training_when_labels_come_then_the_next_waits_until_the_history_has_grown(bench: Bench) -> None:
    # Given updates that train the base anew whenever the history has doubled, up to thirty events
    bench.config = bench.config.model_copy(update={"update": Update(joint_max_events=30, joint_growth_ratio=1.0)})
    bench.learner = bench.open()
    bench.label(8)
    bench.settle()
    # When as many as start an update come, nothing does, also after a restart
    bench.label(7)
    bench.settle()
    bench.learner = bench.open()
    bench.settle()
    assert bench.executor.started == 1
    status = task_status(bench.registry, bench.buffer.reader, bench.paths, TASK, bench.config)
    assert status["update_after_events"] == 8
    # When the history has doubled, all of it is trained
    bench.label(1)
    bench.settle()
    assert job_counts(bench, 2) == {"new": 16, "pool": 0, "validation": 0, "holdout": 0, "refit": 16}
    # And where a further one would be too long, an update has the new events alone, and goes on from the champion
    bench.label(6)
    bench.settle()
    assert job_counts(bench, 3)["new"] == 6
    recipes = [version.meta.recipe for version in bench.registry.versions(TASK)]
    assert [recipe.get("joint") for recipe in recipes] == [None, True, True, False]


def test_given_more_labels_than_one_update_takes_when_reopened_then_the_trigger_counts_them_all(bench: Bench) -> None:
    # Given a trigger that waits for more events than one update takes, and as many at the start
    bench.config = bench.config.model_copy(update={"update": Update(max_new_events=4)})
    bench.label(6)
    bench.learner.fast.fold(100)
    bench.learner.snapshot()
    bench.learner = bench.open()
    bench.settle()
    assert bench.champion == "000002"


def test_given_answers_that_are_hardly_ever_wrong_when_labels_come_then_the_next_update_waits(bench: Bench) -> None:
    trigger = bench.config.trigger.model_copy(update={"calm_ratio": 1.0})
    bench.config = bench.config.model_copy(update={"trigger": trigger})
    bench.learner = bench.open()
    bench.learner.ledger.grown_errors = Errors(seen=400.0, wrong=20.0)
    # Given a first update, which does not wait
    bench.label(6)
    bench.settle()
    assert bench.executor.started == 1
    # When many more come, nothing starts; with sixteen times as many train events an update does
    bench.label(90)
    bench.settle()
    assert bench.executor.started == 1
    bench.label(40)
    bench.settle()
    assert bench.executor.started == 2
    assert job_counts(bench, 2)["new"] >= 16 * 6


def job_counts(bench: Bench, number: int) -> Mapping[str, int]:
    found: Mapping[str, int] = orjson.loads((bench.paths.jobs / f"{number:06d}" / "job.json").read_bytes())["counts"]
    return found


def test_given_labels_that_came_during_the_training_when_promoted_then_they_are_in(bench: Bench) -> None:
    bench.executor.running = True
    bench.label(8)
    bench.settle()
    assert bench.champion == "000001"
    bench.label(3)
    bench.executor.running = False
    for _ in range(50):
        if bench.champion == "000001":
            bench.learner.step()
    # at the very step in which it is promoted, not some time later
    assert bench.champion == "000002"
    assert bench.learner.fast.answering().labels_seen == bench.buffer.reader.last_seq(TASK)


def test_given_a_stream_that_never_pauses_when_an_update_is_due_then_it_starts_and_is_served(bench: Bench) -> None:
    # Given labels at every step, more than a candidate folds in one
    for _ in range(60):
        bench.label(CATCH_UP + 4)
        bench.clock.advance(1)
        # When stepping
        bench.learner.step()
        if bench.champion == "000002":
            break
    # Then an update was trained, has caught up although more came, and is served
    assert bench.champion == "000002"
    # And once nothing comes any more, all is in
    bench.settle()
    assert bench.learner.fast.cursor == bench.buffer.reader.last_seq(TASK)


def test_given_more_labels_than_a_slice_when_an_update_is_due_then_they_are_folded_first(bench: Bench) -> None:
    bench.label(200)
    for _ in range(3):
        bench.learner.step()
    assert (bench.learner.updating, bench.learner.fast.cursor) == (False, 192)
    bench.learner.step()
    assert (bench.learner.updating, bench.learner.fast.cursor) == (True, 200)


def being_read(bench: Bench) -> Later:
    """What reads the candidate, once it is told to."""
    slow = Later()
    bench.beside = slow
    bench.learner = bench.open()
    bench.label(8)
    while not slow.waiting:
        bench.learner.step()
    return slow


def test_given_a_candidate_that_is_read_slowly_when_labels_come_then_they_are_folded_meanwhile(bench: Bench) -> None:
    # Given a candidate that is read beside the folding
    slow = being_read(bench)
    # When labels come before the candidate is read
    bench.label(5)
    assert bench.learner.step()
    # Then they are in what is served, and there is no work but waiting
    assert (bench.champion, bench.learner.fast.cursor) == ("000001", bench.buffer.reader.last_seq(TASK))
    assert not bench.learner.step()
    assert bench.learner.updating
    # When it is read, it is served with them
    slow.run()
    bench.settle()
    assert bench.champion == "000002"
    assert bench.learner.fast.answering().labels_seen == bench.buffer.reader.last_seq(TASK)


def test_given_a_candidate_that_is_being_read_when_the_learner_ends_then_the_next_one_serves_it(bench: Bench) -> None:
    # Given a candidate that was published and is not read yet
    being_read(bench)
    # When another learner begins
    bench.beside = AT_ONCE
    bench.learner = bench.open()
    bench.settle()
    # Then it is served, published once
    assert bench.champion == "000002"
    assert [version.id for version in bench.registry.versions(TASK)] == ["000001", "000002"]


def test_given_a_promotion_when_the_next_version_learns_then_the_one_before_takes_no_memory(bench: Bench) -> None:
    # Given a learner, and nobody who looks for cycles
    bench.label(8)
    gc.collect()
    gc.disable()
    try:
        before = bench.learner.fast
        gone: list[weakref.ref[Any]] = [
            weakref.ref(before),
            weakref.ref(before.state),
            weakref.ref(before.served.model),
        ]
        del before
        # When another version is served
        bench.settle()
        bench.label(1)
        bench.settle()
        # Then its sums and its model are gone at once
        assert bench.champion == "000002"
        assert [found() for found in gone] == [None, None, None]
    finally:
        gc.enable()


def test_given_a_promotion_by_hand_during_the_training_when_judged_then_the_hand_wins(bench: Bench) -> None:
    # Given two versions, the second of them served, and a third in training
    bench.label(8)
    bench.settle()
    bench.executor.running = True
    bench.label(8)
    bench.settle()
    # When someone serves the first again, without a hold
    COMMANDS["promote"](bench.registry, bench.clock, TASK, {"version": "000001"}, "me", "it was better")
    bench.executor.running = False
    bench.settle()
    # Then the candidate, which was judged against the second, does not replace it
    assert bench.champion == "000001"
    verdict = next(entry for entry in reversed(bench.registry.history(TASK)) if entry.kind == "verdict")
    assert (verdict.details["promoted"], verdict.details["judged_against"]) == (False, "000002")


def test_given_a_hold_on_the_served_version_when_a_candidate_passes_then_it_waits_for_a_person(bench: Bench) -> None:
    COMMANDS["promote"](bench.registry, bench.clock, TASK, {"version": "000001", "hold": True}, "me", "")
    assert standing(bench.registry, TASK).held
    bench.label(8)
    bench.settle()
    assert bench.champion == "000001"
    COMMANDS["promote"](bench.registry, bench.clock, TASK, {"version": "000001"}, "me", "")
    bench.label(8)
    bench.settle()
    assert bench.champion != "000001"


def test_given_a_training_that_fails_when_tried_often_enough_then_given_up_and_the_next_one_works(bench: Bench) -> None:
    bench.executor.failing = bench.config.update.max_attempts
    bench.label(8)
    bench.settle()
    assert bench.executor.started == bench.config.update.max_attempts
    failed = next(entry for entry in bench.registry.history(TASK) if entry.kind == "job_failed")
    assert (failed.why, failed.details["reason"]) == ("held too much", "oom")
    assert bench.champion == "000001"
    bench.clock.advance(1000)
    bench.label(8)
    bench.settle()
    assert bench.champion == "000002"


@pytest.mark.parametrize("beside", [AT_ONCE, Later()])
def test_given_a_candidate_that_does_not_load_when_judged_then_the_old_one_stays_and_nothing_raises(
    beside: Executor, bench: Bench
) -> None:
    bench.beside = beside
    bench.learner = bench.open()

    def tear(attempt: Path) -> None:
        head = attempt / "version" / "head.safetensors"
        head.write_bytes(head.read_bytes()[:40])

    bench.executor.mischief = tear
    bench.label(8)
    bench.settle()
    if isinstance(beside, Later):
        beside.run()
        bench.settle()
    assert bench.champion == "000001"
    assert bench.kinds()[-1] == "job_failed"


def test_given_accepted_predictions_or_retracted_labels_only_when_stepping_then_no_update_starts(bench: Bench) -> None:
    bench.label(8, source="prediction")
    bench.settle()
    ids = bench.label(5)
    bench.settle()
    bench.buffer.put(*(retract(event_id, at=1000.0, offset=1000 + i) for i, event_id in enumerate(ids)))
    bench.learner.ask("asked")
    bench.settle()
    assert bench.executor.started == 0
    assert not bench.learner.updating


def test_given_no_room_for_a_job_when_due_then_labels_are_folded_on_and_it_is_tried_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise StoreFull("an update needs more")

    with monkeypatch.context() as patched:
        patched.setattr(learning, "freeze", full)
        bench.label(8)
        bench.settle()
        assert bench.learner.fast.cursor == bench.buffer.reader.last_seq(TASK)
        assert bench.champion == "000001"
    bench.clock.advance(learning.NO_ROOM_S)
    bench.settle()
    assert bench.champion == "000002"


def test_given_a_damaged_job_when_the_learner_starts_then_it_is_closed_and_the_learner_works(bench: Bench) -> None:
    bench.executor.running = True
    bench.label(8)
    bench.settle()
    manifest = bench.paths.jobs / "000001" / "job.json"
    manifest.write_bytes(manifest.read_bytes()[:30])
    bench.executor.running = False
    bench.learner = bench.open()
    assert not bench.learner.updating
    bench.settle()
    assert bench.champion == "000002"


def test_given_versions_beyond_the_kept_ones_when_retired_then_their_heads_go_too(bench: Bench) -> None:
    bench.learner = bench.open(keep_versions=1)
    for _ in range(4):
        bench.label(8)
        bench.settle()
    versions = {version.id for version in bench.registry.versions(TASK)}
    assert {bench.champion, bench.registry.alias(TASK, "previous")} <= versions
    assert "000001" not in versions
    assert {path.name for path in (bench.paths.heads / TASK).iterdir()} <= versions


def answer(bench: Bench, text: str) -> tuple[str, ...]:
    """The classes that the fast head answers with, likeliest first."""
    fast = bench.learner.fast
    assert fast.state is not None
    weights = fast.weights(fast.state)
    (row,) = weights.probabilities(np.asarray(fast.served.features([Input(text=text)], 1), np.float32))
    return tuple(weights.labels[i] for i in np.argsort(-row))


def test_given_a_quarantine_when_a_label_is_rare_then_it_is_no_class_of_either_head(bench: Bench) -> None:
    # Given two events with a mistyped label among others
    bench.config = bench.config.model_copy(update={"labels": Labels(mode="quarantine", min_count=3)})
    bench.learner = bench.open()
    bench.buffer.put(*(arrival(f"typo{i}", f"a {i} typo", "clas 1", offset=900 + i) for i in range(2)))
    bench.label(9)
    bench.settle()
    # Then neither the fast head nor the version trained meanwhile has that class, and its events are kept
    assert bench.champion == "000002"
    assert set(answer(bench, "a typo")) == {"class 0", "class 1", "class 2"}
    assert set(bench.learner.fast.served.labels) == {"class 0", "class 1", "class 2"}
    assert bench.buffer.reader.stats(TASK).labels["clas 1"] == 2
    # When a third comes, then it is a class at once, from all three, although the encoder was updated in between
    bench.buffer.put(arrival("typo2", "a 2 typo", "clas 1", offset=950))
    bench.settle()
    assert "clas 1" in answer(bench, "a typo")
    # And the next version has it too
    bench.label(9)
    bench.settle()
    assert bench.champion == "000003"
    assert "clas 1" in bench.learner.fast.served.labels


def test_given_events_of_quarantined_labels_only_when_stepping_then_no_update_starts(bench: Bench) -> None:
    bench.config = bench.config.model_copy(update={"labels": Labels(mode="quarantine", min_count=3)})
    bench.learner = bench.open()
    bench.buffer.put(*(arrival(f"t{i}", f"text {i}", f"label {i}", offset=900 + i) for i in range(8)))
    bench.settle()
    assert bench.executor.started == 0
    assert bench.learner.fast.cursor == bench.buffer.reader.last_seq(TASK)


@pytest.mark.parametrize("restart", [False, True])
def test_given_wrong_labels_when_rolled_back_without_them_then_they_are_in_no_answer_and_no_update(
    bench: Bench, restart: bool
) -> None:
    # Given two versions, and then labels of an hour that turn out to be wrong: new ones and corrections
    bench.label(8)
    bench.settle()
    served, (first,) = bench.champion, bench.label(1)
    bench.settle()
    clean = answer(bench, "the card is lost 0"), sums(bench)
    bench.buffer.put(arrival("w0", "wrong as can be", "wrong", offset=800, at=5000.0))
    bench.buffer.put(arrival(first, label="wrong", offset=801, at=5001.0))
    bench.settle()
    assert "wrong" in answer(bench, "the card is lost 0")
    # When someone promotes another version and rolls back without the labels of that hour
    COMMANDS["promote"](bench.registry, bench.clock, TASK, {"version": "000001", "hold": True}, "me", "")
    bench.settle()
    bench.clock.advance(9000)
    COMMANDS["rollback"](bench.registry, bench.clock, TASK, {"without_labels_since": 4000.0}, "me", "wrong import")
    if restart:
        bench.learner = bench.open()
    bench.settle()
    # Then the version answers as if they had never come: what was corrected counts for what it was before
    assert bench.champion == served
    assert answer(bench, "the card is lost 0") == clean[0]
    assert sums(bench) == pytest.approx(clean[1])
    # And later updates know nothing of them
    assert all("wrong" not in row.decode() for row in rows_of_a_new_job(bench))
    # When they are taken in again, then they count again
    args = {"version": "000001", "hold": True, "with_labels": True}
    COMMANDS["promote"](bench.registry, bench.clock, TASK, args, "me", "they were right")
    bench.settle()
    assert "wrong" in answer(bench, "the card is lost 0")


def sums(bench: Bench) -> list[float]:
    state = bench.learner.fast.state
    assert state is not None
    counts = {label: int(n) for label, n in zip(state.metadata()["labels"], state.tensors()["counts"], strict=True)}
    return [float(counts.get(f"class {i}", 0)) for i in range(3)]


def rows_of_a_new_job(bench: Bench) -> list[bytes]:
    bench.executor.running = True
    bench.label(8)
    bench.settle()
    assert bench.learner.updating
    job = max(path for path in bench.paths.jobs.iterdir())
    rows = [line for path in job.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert rows
    bench.executor.running = False
    bench.settle()
    return rows


def test_given_a_rollback_without_labels_of_the_future_when_asked_then_it_is_refused(bench: Bench) -> None:
    bench.label(8)
    bench.settle()
    with pytest.raises(CommandRefused, match="must lie before now"):
        COMMANDS["rollback"](bench.registry, bench.clock, TASK, {"without_labels_since": 1e12}, "me", "")
    assert bench.champion == "000002"


@pytest.mark.parametrize("restart", [False, True])
def test_given_a_job_that_holds_an_event_when_it_is_erased_then_the_job_is_cancelled_and_another_starts(
    bench: Bench, restart: bool
) -> None:
    # Given a training that runs
    bench.executor.running = True
    ids = bench.label(8)
    bench.settle()
    # When one of its events is erased (and the daemon dies before it has noticed, or not)
    bench.buffer.put(delete(ids[2], offset=900))
    if restart:
        bench.learner.fast.fold(64)
        bench.learner.snapshot()
        bench.learner = bench.open()
    bench.settle()
    # Then its rows are gone from the disk, and the next job has the other events
    assert "job_cancelled" in bench.kinds()
    assert not list((bench.paths.jobs / "000001").glob("*.jsonl"))
    held = {event.id for event in read_rows(bench.paths.jobs / "000002", "new")}
    assert held == set(ids) - {ids[2]}
    bench.executor.running = False
    bench.settle()
    assert bench.champion == "000002"


def test_given_a_job_without_the_event_when_it_is_erased_then_the_job_goes_on(bench: Bench) -> None:
    bench.executor.running = True
    bench.label(8)
    bench.settle()
    (late,) = bench.label(1)
    bench.settle()
    bench.buffer.put(delete(late, offset=900))
    bench.settle()
    assert "job_cancelled" not in bench.kinds()
    assert bench.learner.updating


def test_given_an_erasure_when_another_version_serves_then_the_previous_head_passes_it_too(bench: Bench) -> None:
    # Given a previous version whose head stands still
    bench.label(8)
    bench.settle()
    ids = bench.label(3)
    bench.settle()
    previous = bench.paths.head(TASK, "000001")
    before = state_cursor(previous)
    assert bench.registry.alias(TASK, "previous") == "000001"
    assert before is not None
    assert before < bench.buffer.reader.last_seq(TASK)
    # When an event is erased
    bench.buffer.put(delete(ids[0], offset=900))
    bench.settle()
    # Then both heads have passed it, so that its text can be purged; and which versions knew it is told
    erased = bench.buffer.reader.last_erasure(TASK)
    assert state_cursor(previous) == erased
    bench.buffer.writer.maintain({TASK: erased})
    assert bench.buffer.reader.last_erasure(TASK) == 0
    assert trained_on(bench.registry, TASK, [ids[0]]) == []
    assert [version.id for version in trained_on(bench.registry, TASK, ["e0"])] == ["000002"]


def test_given_a_registry_that_goes_away_when_stepping_then_no_other_history_begins_and_it_goes_on_once_back(
    bench: Bench,
) -> None:
    # Given a learner that serves, and an empty directory where the registry was
    bench.label(3)
    bench.settle()
    away = bench.paths.root / "away"
    bench.paths.registry.rename(away)
    bench.paths.registry.mkdir()
    # When labels come, and the learner is started anew
    bench.label(8)
    bench.settle()
    with pytest.raises(UnknownVersion, match="bring the registry back"):
        bench.open()
    # Then nothing is trained and nothing is made there
    assert bench.executor.started == 0
    assert [path for path in bench.paths.registry.rglob("*") if path.is_file()] == []
    # And once it is back all goes on
    shutil.rmtree(bench.paths.registry)
    away.rename(bench.paths.registry)
    bench.clock.advance(100)
    bench.settle()
    assert bench.champion == "000002"
