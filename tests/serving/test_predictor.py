"""Micro-batches, swaps under load, and what is bounded."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from daemon.errors import NotServing, PredictionFailed, QueueFull
from daemon.serving.predictor import Answers, Predictor
from strategies.base import Example
from tests.serving.fakes import CountingObserver, FakeServed, text


@pytest.fixture
def predictor() -> Iterator[Predictor]:
    made = Predictor(max_batch_tokens=64, max_queue=8)
    yield made
    made.close(10)


def labels(future: Future[Answers]) -> list[Any]:
    return [answer["label"] for answer in future.result(10)]


def occupied(predictor: Predictor, served: FakeServed) -> tuple[threading.Event, Future[Answers]]:
    """The worker is at work on a first request until the event is set."""
    gate = served.gate = threading.Event()
    predictor.swap("t", served)
    first = predictor.submit("t", [text("first")])
    while not first.running():
        time.sleep(0.001)
    return gate, first


def test_a_request_gets_one_answer_per_input_in_order(predictor: Predictor) -> None:
    # Given a model
    predictor.swap("t", FakeServed(1, 7))
    # When several inputs come in one request
    future = predictor.submit("t", [text("a"), text("b"), text("c")], 2)
    # Then each is answered, in order, with the top_k asked for
    assert labels(future) == ["000001:7:a", "000001:7:b", "000001:7:c"]
    assert future.result()[0]["k"] == 2
    assert predictor.submit("t", []).result(1) == []


def test_what_waits_is_answered_together_up_to_the_budget(predictor: Predictor) -> None:
    # Given a worker at work
    served = FakeServed(1, 0)
    gate, first = occupied(predictor, served)
    # When five requests of 21 tokens queue up, and one of another kind between them
    waiting = [predictor.submit("t", [text("x" * 20)]) for _ in range(4)]
    other = predictor.submit("t", [text("y")], 1)
    waiting.append(predictor.submit("t", [text("x" * 20)]))
    gate.set()
    for future in (first, other, *waiting):
        future.result(10)
    # Then they share batches of at most 64 tokens, in the order of arrival of the oldest
    assert served.batches == [1, 3, 2, 1]


def test_a_request_larger_than_the_budget_is_cut_but_answered_by_one_model(predictor: Predictor) -> None:
    # Given a request of 20 x 21 tokens
    served = FakeServed(1, 0)
    predictor.swap("t", served)
    # When it is answered
    found = labels(predictor.submit("t", [text("x" * 20)] * 20))
    # Then it took several forwards of one model
    assert found == ["000001:0:" + "x" * 20] * 20
    assert served.batches == [3, 3, 3, 3, 3, 3, 2]


def test_text_is_tokenised_by_who_submits(predictor: Predictor) -> None:
    # Given a model
    served = FakeServed(1, 0)
    predictor.swap("t", served)
    # When a request is answered
    labels(predictor.submit("t", [text("a")]))
    # Then the worker has not tokenised
    assert served.encoded_in == {threading.current_thread().name}


def test_a_model_never_sees_another_tokenizers_ids(predictor: Predictor) -> None:
    # Given requests tokenised by one model that wait while another with its own tokenizer comes
    gate, first = occupied(predictor, FakeServed(1, 0, encoding="one"))
    waiting = predictor.submit("t", [text("a")])
    predictor.swap("t", FakeServed(2, 0, encoding="two"))
    gate.set()
    # Then what was begun is answered by the old one, what waited by the new one with its own ids
    assert labels(first) == ["000001:0:first"]
    assert labels(waiting) == ["000002:0:a"]


def test_a_full_queue_is_said_so(predictor: Predictor) -> None:
    # Given a queue that is full
    gate, first = occupied(predictor, FakeServed(1, 0))
    waiting = [predictor.submit("t", [text("a")]) for _ in range(8)]
    # When another request comes
    with pytest.raises(QueueFull, match=r"predict\.max_queue: 8"):
        predictor.submit("t", [text("b")])
    # Then those that wait are answered, and there is room again
    gate.set()
    for future in (first, *waiting):
        future.result(10)
    assert labels(predictor.submit("t", [text("c")])) == ["000001:0:c"]


def test_who_asks_to_may_wait_for_room_and_for_a_first_model() -> None:
    # Given a predictor with a queue of one place, and no model
    predictor = Predictor(64, 1)
    with pytest.raises(NotServing, match="no model is loaded yet"):
        predictor.submit("t", [text("a")])
    done: list[str] = []

    def ask() -> None:
        futures = [predictor.submit("t", [text(str(i))], block=True) for i in range(50)]
        done.extend(label for future in futures for label in labels(future))

    asking = threading.Thread(target=ask)
    asking.start()
    # When a model comes
    time.sleep(0.02)
    assert not done
    predictor.swap("t", FakeServed(1, 0))
    asking.join(10)
    # Then all are answered
    assert done == [f"000001:0:{i}" for i in range(50)]
    predictor.close(10)


def test_a_request_that_fails_does_not_take_others_with_it(predictor: Predictor) -> None:
    # Given requests in one batch, one of which makes the model raise
    gate, first = occupied(predictor, FakeServed(1, 0))
    good, bad, better = (predictor.submit("t", [text(word)]) for word in ("good", "poison", "better"))
    gate.set()
    # Then only that one fails, by name
    assert labels(first) == ["000001:0:first"]
    assert labels(good) == ["000001:0:good"]
    assert labels(better) == ["000001:0:better"]
    with pytest.raises(PredictionFailed, match="ValueError: poison"):
        bad.result(10)


def test_a_cancelled_request_is_not_answered(predictor: Predictor) -> None:
    # Given a request that waits
    served = FakeServed(1, 0)
    gate, first = occupied(predictor, served)
    waiting = predictor.submit("t", [text("a")])
    # When it is cancelled
    assert waiting.cancel()
    gate.set()
    # Then the model never sees it
    first.result(10)
    assert labels(predictor.submit("t", [text("b")])) == ["000001:0:b"]
    assert served.batches == [1, 1]
    with pytest.raises(CancelledError):
        waiting.result(1)


def test_closing_answers_what_was_accepted() -> None:
    # Given requests that wait
    predictor = Predictor(64, 100)
    gate, first = occupied(predictor, FakeServed(1, 0))
    waiting = [predictor.submit("t", [text(str(i))]) for i in range(50)]
    closing = threading.Thread(target=predictor.close)
    closing.start()
    # When it closes
    gate.set()
    closing.join(10)
    # Then they are answered, and no other is accepted
    assert [labels(future) for future in (first, *waiting)][-1] == ["000001:0:49"]
    with pytest.raises(NotServing, match="closing"):
        predictor.submit("t", [text("late")])


def test_what_is_not_answered_before_the_deadline_is_told_so() -> None:
    # Given a model that hangs
    predictor = Predictor(64, 100)
    gate, first = occupied(predictor, FakeServed(1, 0))
    waiting = predictor.submit("t", [text("a")])
    # When closing takes too long
    predictor.close(0.05)
    # Then what waits fails by name
    with pytest.raises(NotServing, match="closed before"):
        waiting.result(1)
    gate.set()
    assert labels(first) == ["000001:0:first"]


@pytest.mark.parametrize("failing", [False, True])
def test_the_old_model_is_freed_after_its_last_batch(predictor: Predictor, failing: bool) -> None:
    # Given a model at work, with others waiting
    old = FakeServed(1, 0)
    gate, first = occupied(predictor, old)
    waiting = [predictor.submit("t", [text("poison" if failing else "a")]) for _ in range(3)]
    gone = weakref.ref(old)
    # When another takes its place
    predictor.swap("t", FakeServed(2, 0))
    del old
    assert gone() is not None
    gate.set()
    first.result(10)
    for future in waiting:
        future.exception(10)
    # Then the old one goes by itself, though its answers are still held
    deadline = time.monotonic() + 5
    while gone() is not None and time.monotonic() < deadline:
        gc.collect(0)
        time.sleep(0.001)
    assert gone() is None
    assert waiting[0].done()


def test_predictions_are_counted_and_timed() -> None:
    # Given an observer
    observer = CountingObserver()
    predictor = Predictor(64, 8, observer)
    predictor.swap("t", FakeServed(1, 0))
    # When three inputs are answered in two requests
    predictor.submit("t", [text("a"), text("b")]).result(10)
    predictor.submit("t", [text("c")]).result(10)
    predictor.close(10)
    # Then predictions are counted, and requests are timed
    assert observer.counts["predictions_total", "t"] == 3
    assert [name for name, value in observer.values if value >= 0] == ["prediction_latency_seconds"] * 2


def test_an_observer_that_fails_stops_nothing() -> None:
    # Given an observer that raises
    class Broken(CountingObserver):
        def count(self, metric: str, amount: float = 1, **labels: str) -> None:
            raise OSError("disk full")

    predictor = Predictor(64, 8, Broken())
    predictor.swap("t", FakeServed(1, 0))
    # When requests come
    # Then they are answered
    for word in ("a", "b"):
        assert labels(predictor.submit("t", [text(word)])) == [f"000001:0:{word}"]
    predictor.close(10)


def test_one_thousand_flips_under_eight_threads() -> None:
    # Given eight threads that ask without rest
    predictor = Predictor(max_batch_tokens=256, max_queue=64)
    predictor.swap("t", FakeServed(0, 0))
    over = threading.Event()
    answers: list[list[tuple[str, Any]]] = [[] for _ in range(8)]
    failures: list[BaseException] = []

    def ask(mine: list[tuple[str, Any]], number: int) -> None:
        asked = 0
        try:
            while not (over.is_set() and mine and mine[-1][1]["labels_seen"] == 1000):
                words = [f"{number}.{asked}.{i}" for i in range(1 + asked % 3)]
                found = predictor.submit("t", [text(word) for word in words], block=True).result(10)
                assert len({(answer["version"], answer["labels_seen"]) for answer in found}) == 1
                mine.extend(zip(words, found, strict=True))
                asked += 1
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(mine, n)) for n, mine in enumerate(answers)]
    for thread in threads:
        thread.start()
    # When the model is flipped 1,000 times: versions with their own tokenizer, and weights between
    for flip in range(1, 1001):
        predictor.swap("t", FakeServed(flip // 10, flip, encoding=f"tokenizer {flip // 10}"))
        if flip % 20 == 0:
            assert predictor.submit("t", [text("between")], block=True).result(10)[0]["labels_seen"] == flip
    # And each thread has been answered by the last one
    over.set()
    for thread in threads:
        thread.join(10)
    predictor.close(10)
    # Then no request failed, and each answer is what its (version, labels_seen) makes of the text
    assert not failures
    for mine in answers:
        assert all(found["label"] == f"{found['version']}:{found['labels_seen']}:{word}" for word, found in mine)
        # And labels_seen never goes back for one who asks one after another
        seen = [found["labels_seen"] for _, found in mine]
        assert seen == sorted(seen)
        assert seen[-1] == 1000
    assert len({found["labels_seen"] for mine in answers for _, found in mine}) > 20


def test_a_model_that_loses_answers_is_found_out(predictor: Predictor) -> None:
    # Given a model that answers too few
    class Forgetful(FakeServed):
        def answer_encoded(self, examples: Sequence[Example], top_k: int) -> list[Mapping[str, Any]]:
            return super().answer_encoded(examples, top_k)[1:]

    predictor.swap("t", Forgetful(1, 0))
    # Then no answer goes to another's input
    with pytest.raises(PredictionFailed, match="0 answers for 1 inputs"):
        predictor.submit("t", [text("a")]).result(10)
