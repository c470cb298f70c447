"""A candidate that may well be better waits for labels: it is promoted when they tell, and goes when they do not."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import orjson
import pytest
from safetensors.numpy import load_file, save_file

from daemon.backtest import report
from daemon.config.task import Gate
from daemon.heads.blend import Floats
from daemon.roles import challenger
from daemon.roles.commands import COMMANDS
from daemon.roles.foretold import Foretold
from daemon.roles.standing import standing
from daemon.testing import Later
from daemon.update.pair import Pair
from tests.buffer.support import TASK, delete
from tests.roles.bench import Bench

ROWS = 40


def scored(attempt: Path, better: int, worse: int) -> None:
    """The trainer found the candidate better on so many validation rows and worse on so many, of ``ROWS``."""
    scores, result = load_file(attempt / "scores.safetensors"), orjson.loads((attempt / "result.json").read_bytes())
    champion = np.array([0.0] * better + [1.0] * (ROWS - better))[:, None]
    candidate = np.array([1.0] * (ROWS - worse) + [0.0] * worse)[:, None]
    save_file(
        {**scores, "validation_champion": champion, "validation_candidate": candidate}, attempt / "scores.safetensors"
    )
    result["validation_labels"] = ["class 0"] * ROWS
    (attempt / "result.json").write_bytes(orjson.dumps(result))


@pytest.fixture
def waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A candidate, better on two rows of forty and worse on one, stands beside the base version; it is looked at after
    eight further labels, and after sixteen."""
    monkeypatch.setattr(challenger, "FIRST_LOOK", 8)
    monkeypatch.setattr(challenger, "LOOKS", 2)
    trigger = bench.config.trigger.model_copy(update={"min_events": 60, "first_ratio": 0.1})
    bench.config = bench.config.model_copy(update={"gate": Gate(), "trigger": trigger})
    bench.learner = bench.open()
    bench.executor.mischief = lambda attempt: scored(attempt, better=2, worse=1)
    bench.label(6)
    bench.settle()
    assert (bench.champion, bench.kinds()[-2:]) == ("000001", ["verdict", "rejected"])
    assert standing(bench.registry, TASK).rejections == 1
    return bench


def answers(monkeypatch: pytest.MonkeyPatch, champion: float, candidate: float) -> None:
    """So much of the labels that come was foretold by either."""

    def told(ratio: float, rows: int) -> Floats:
        return (np.arange(rows) < round(ratio * rows)).astype(np.float64)[:, None]

    real = Foretold.beside

    def beside(mine: Foretold, theirs: Foretold) -> Pair:
        rows = len(real(mine, theirs))
        return Pair(told(champion, rows), told(candidate, rows), ["class 0"] * rows)

    monkeypatch.setattr(Foretold, "beside", beside)


def test_given_labels_that_it_foretells_better_when_enough_have_come_then_it_is_promoted(
    waiting: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, champion=0.2, candidate=1.0)
    # When fewer labels come than it is looked at after, then it waits
    waiting.label(4)
    waiting.settle()
    assert waiting.champion == "000001"
    # When more come
    waiting.label(6)
    waiting.settle()
    # Then it serves, caught up, and the history tells why; what comes next waits no longer than after a promotion
    assert waiting.champion == "000002"
    assert waiting.learner.fast.answering().labels_seen == waiting.buffer.reader.last_seq(TASK)
    last = waiting.registry.history(TASK)[-1]
    assert (last.kind, last.who, last.version) == ("promoted", "gate", "000002")
    assert "on 50 rows kept from training" in last.why
    assert standing(waiting.registry, TASK).rejections == 0
    # And a report counts it as promoted, later
    (told,) = report.versions(waiting.registry.history(TASK))
    assert (told["promoted"], told["later"]) == (True, last.why)
    # And after a restart all is as it was
    waiting.learner = waiting.open()
    assert waiting.learner.fast.version.id == "000002"


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(("step", "served"), [("publish", "000001"), ("announce_move", "000002")])
def test_given_a_kill_around_its_promotion_when_started_again_then_one_version_serves_with_every_label(
    waiting: Bench, monkeypatch: pytest.MonkeyPatch, step: str, served: str
) -> None:
    answers(monkeypatch, champion=0.2, candidate=1.0)

    def kill(*given: object) -> None:
        raise Killed

    # Given a kill right before the alias moves, or right after
    held = waiting.learner.challenge.challenger
    assert held is not None
    waiting.label(10)
    while held.fast.cursor < waiting.buffer.reader.last_seq(TASK):
        waiting.learner.step()
    place: object = held.fast if step == "publish" else challenger
    with monkeypatch.context() as until:
        until.setattr(place, step, kill)
        with pytest.raises(Killed):
            waiting.settle()
    # When the learner starts again
    waiting.learner = waiting.open()
    waiting.settle()
    # Then what the alias names serves and knows every label, and the history has at most one promotion by the gate
    assert (waiting.champion, waiting.learner.fast.version.id) == (served, served)
    assert waiting.learner.fast.answering().labels_seen == waiting.buffer.reader.last_seq(TASK)
    by_gate = [
        entry.version for entry in waiting.registry.history(TASK) if (entry.kind, entry.who) == ("promoted", "gate")
    ]
    assert by_gate == (["000002"] if served == "000002" else [])
    assert standing(waiting.registry, TASK).rejections == (0 if served == "000002" else 1)
    assert waiting.executor.started == 1


def test_given_labels_that_tell_nothing_when_enough_have_come_then_it_goes(
    waiting: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given labels that both foretell alike
    answers(monkeypatch, champion=0.5, candidate=0.5)
    held = waiting.learner.challenge.challenger
    assert held is not None
    model = weakref.ref(held.fast.served.model)
    del held
    waiting.label(10)
    waiting.settle()
    assert model() is not None
    # When the last look tells nothing either, then it takes no memory any more
    gc.collect()
    gc.disable()
    try:
        waiting.label(8)
        waiting.settle()
        assert model() is None
    finally:
        gc.enable()
    assert waiting.champion == "000001"


def test_given_labels_that_it_foretells_worse_when_looked_at_then_it_goes_at_once(
    waiting: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, champion=1.0, candidate=0.5)
    waiting.label(10)
    waiting.settle()
    assert waiting.learner.challenge.challenger is None
    assert waiting.champion == "000001"


def test_given_a_promotion_by_hand_when_labels_come_then_it_goes(waiting: Bench) -> None:
    # Given someone who serves the candidate itself
    COMMANDS["promote"](waiting.registry, waiting.clock, TASK, {"version": "000002"}, "me", "I know better")
    waiting.label(3)
    waiting.settle()
    # Then it is learnt on as any served version, and nobody challenges it
    assert waiting.learner.fast.version.id == "000002"
    assert waiting.learner.challenge.challenger is None


def test_given_a_hold_when_it_is_found_better_then_nothing_moves(
    waiting: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, champion=0.2, candidate=1.0)
    COMMANDS["promote"](waiting.registry, waiting.clock, TASK, {"version": "000001", "hold": True}, "me", "")
    waiting.label(10)
    waiting.settle()
    assert (waiting.champion, waiting.learner.challenge.challenger) == ("000001", None)


def test_given_an_erasure_when_the_event_made_it_then_it_goes_else_it_stays(waiting: Bench) -> None:
    # Given events that came after it, and one of those that it was trained on
    (later, *_) = waiting.label(3)
    waiting.settle()
    # When a later one is erased, then it stays; it has learnt that one as the champion has, and gives it up
    waiting.buffer.put(delete(later, offset=900))
    waiting.settle()
    held = waiting.learner.challenge.challenger
    assert held is not None
    assert held.fast.cursor == waiting.learner.fast.cursor
    # When its own is erased, then it goes
    del held
    waiting.buffer.put(delete("e0", offset=901))
    waiting.settle()
    assert (waiting.champion, waiting.learner.challenge.challenger) == ("000001", None)


def test_given_an_erasure_while_the_candidate_is_read_when_it_is_there_then_it_does_not_wait(bench: Bench) -> None:
    # Given a candidate that may be better, and is still being read
    slow = Later()
    bench.beside = slow
    bench.config = bench.config.model_copy(update={"gate": Gate()})
    bench.learner = bench.open()
    bench.executor.mischief = lambda attempt: scored(attempt, better=2, worse=1)
    bench.label(6)
    while not slow.waiting:
        bench.learner.step()
    # When an event that it was trained on is erased before it is there
    bench.buffer.put(delete("e0", offset=900))
    bench.learner.step()
    slow.run()
    bench.settle()
    # Then it was rejected, and nothing waits
    assert bench.kinds()[-1] == "rejected"
    assert bench.learner.challenge.challenger is None


def test_given_the_next_update_when_it_starts_then_the_challenger_makes_room(waiting: Bench) -> None:
    waiting.executor.running = True
    waiting.label(1)
    waiting.learner.ask("me")
    waiting.settle()
    assert (waiting.learner.updating, waiting.learner.challenge.challenger) == (True, None)


@pytest.mark.parametrize(("better", "worse"), [(0, 3), (0, 0)], ids=["worse", "the same"])
def test_given_a_candidate_that_is_hardly_better_when_rejected_then_it_does_not_wait(
    bench: Bench, better: int, worse: int
) -> None:
    bench.config = bench.config.model_copy(update={"gate": Gate()})
    bench.learner = bench.open()
    bench.executor.mischief = lambda attempt: scored(attempt, better, worse)
    bench.label(6)
    bench.settle()
    assert bench.kinds()[-1] == "rejected"
    assert bench.learner.challenge.challenger is None


def test_given_labels_when_folded_then_both_models_were_asked_before_they_learnt(waiting: Bench) -> None:
    # Given labels after the candidate was frozen
    waiting.label(3)
    waiting.settle()
    held = waiting.learner.challenge.challenger
    assert held is not None
    # Then both have foretold the train ones of them, and the candidate has learnt as much as the champion
    pair = waiting.learner.fast.foretold.beside(held.fast.foretold)
    assert len(pair) == 3
    assert held.fast.cursor == waiting.learner.fast.cursor


def test_given_a_restart_when_a_challenger_waited_then_it_is_left_behind_and_nothing_is_trained_again(
    waiting: Bench,
) -> None:
    waiting.learner = waiting.open()
    waiting.settle()
    assert waiting.learner.challenge.challenger is None
    assert (waiting.champion, waiting.executor.started) == ("000001", 1)
