"""What people are told of a task: when it learns next, and of its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.config.task import Gate
from daemon.roles import overview
from daemon.roles.overview import task_status, trust_samples
from daemon.trust.entries import Given
from daemon.trust.errors import Errors
from daemon.trust.finding import Finding
from tests.buffer.support import TASK
from tests.roles.bench import Bench

AGREES = Finding(0, np.array([0.1, 0, 0, 0, 0, 0, 0, 0.9]), "a", 1.0, 30)


@pytest.fixture
def bench(tmp_path: Path, base: str) -> Iterator[Bench]:
    made = Bench(tmp_path / "state", base)
    yield made
    made.buffer.close()


def status(bench: Bench) -> Mapping[str, Any]:
    return task_status(bench.registry, bench.buffer.reader, bench.paths, TASK, bench.config)


def test_status_says_how_many_events_the_next_update_waits_for(bench: Bench) -> None:
    # Given a task whose first update comes early, and a gate that promotes nothing
    trigger = bench.config.trigger.model_copy(update={"first_ratio": 0.5, "calm_ratio": 0.1})
    bench.config = bench.config.model_copy(update={"trigger": trigger, "gate": Gate(insufficient="reject")})
    bench.learner = bench.open()
    assert status(bench)["update_after_events"] == 3
    # When it was rejected, then the next waits for twice as many
    bench.label(6)
    bench.settle()
    assert (status(bench)["rejections"], status(bench)["update_after_events"]) == (1, 12)
    # And while hardly anything is wrong but of classes that still grow, for sixteen times as many
    bench.learner.ledger.errors = Errors(seen=400.0, wrong=80.0)
    bench.learner.ledger.grown_errors = Errors(seen=400.0, wrong=4.0)
    bench.label(1)
    bench.settle()
    bench.learner.snapshot()
    assert (status(bench)["labels"]["error"], status(bench)["labels"]["grown_error"]) == (0.2, 0.01)
    assert status(bench)["update_after_events"] == 96


def test_gauges_tell_of_the_sources_with_most_labels(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given no label yet
    assert dict(_samples(bench)) == {("label_suspects", TASK): 0.0, ("label_contradictions", TASK): 0.0}
    # When three sources have given labels, and one of theirs is held back
    monkeypatch.setattr(overview, "SHOWN_SOURCES", 2)
    ledger = bench.learner.ledger
    for number in range(90):
        source = "a" if number % 2 else "b" if number % 3 else ""
        ledger.judge(Given(f"e{number}", str(number), "a", source, number, True), AGREES)
    ledger.suspects.put(Given("held", "00", "b", "a", 91, True))
    ledger.cursor = 91
    ledger.save()
    # Then errors, counts and the two with most labels are told
    found = dict(_samples(bench))
    assert found["label_suspects", TASK] == 1.0
    assert found["prequential_error_ratio", TASK] == 0.0
    assert {key[2] for key in found if key[0] == "source_trust_ratio"} == {"a", "b"}
    assert found["source_trust_ratio", TASK, "a"] > 0.9


def _samples(bench: Bench) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, labels, value in trust_samples(bench.paths, TASK):
        yield (name, *labels), value
