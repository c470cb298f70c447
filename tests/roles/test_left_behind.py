"""Given a tuned head that the stream has left behind, when labels come, then the fast head gets the word."""

from __future__ import annotations

from daemon.heads.store import load_weights
from tests.buffer.support import TASK, arrival
from tests.roles.bench import TEXTS, Bench


def test_given_other_routing_when_labels_come_then_the_tuned_head_is_asked_less_also_after_a_restart(
    bench: Bench,
) -> None:
    # Given a version whose tuned head was trained on what labels meant then
    bench.label(36)
    bench.settle()
    trained = bench.champion
    assert bench.learner.fast.served.model.head is not None
    before = bench.learner.fast.answering().blend
    # When they mean something else
    for number in range(bench.count, bench.count + 120):
        text, label = f"{TEXTS[number % 3]} {number}", f"class {(number + 1) % 3}"
        bench.buffer.put(arrival(f"e{number}", text, label, offset=number, at=float(number)))
    bench.learner.fast.fold(1000)
    # Then the head that follows has the word
    after = bench.learner.fast.answering().blend
    assert after < before
    assert bench.champion == trained
    # And predictors load the same weight
    assert trained is not None
    assert load_weights(bench.paths.head(TASK, trained))[1] == after
    # And it is not forgotten
    bench.learner.snapshot()
    bench.learner = bench.open()
    assert bench.learner.fast.answering().blend == after
