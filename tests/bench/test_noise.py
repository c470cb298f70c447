from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from daemon.bench import noise
from daemon.bench.spoiling import CARELESS, SHARE, source, spoilt
from daemon.bench.texts import texts
from daemon.events import Input
from tests.bench.test_update_cost import LIGHT


def test_given_right_labels_when_spoilt_then_a_share_of_one_sources_is_wrong_and_always_the_same() -> None:
    right = [row.label for row in texts(4000)]
    noisy = spoilt(right, 1)
    wrong = [number for number, (given, true) in enumerate(zip(noisy, right, strict=True)) if given != true]
    careless = [number for number in range(4000) if source(number, 1) == CARELESS]
    assert set(wrong) <= set(careless)
    assert len(wrong) / len(careless) == pytest.approx(SHARE, abs=0.03)
    assert set(noisy) == set(right)
    assert noisy == spoilt(right, 1) != spoilt(right, 2)


def test_the_headline_is_what_trust_wins_back_of_what_wrong_labels_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given plays of which the accuracy is known
    def play(self: noise.Stage, labels: noise.Labels, seed: int | None, trust: Mapping[str, Any]) -> noise.Played:
        right = all(given == row.label for given, row in zip(labels, rows, strict=True))
        accuracy = 0.95 if right else 0.93 if None in labels else 0.90 if trust["quarantine"] else 0.85
        return noise.Played(accuracy, 0, 0, ())

    rows = [noise.Text(Input(text=row.text), row.label) for row in texts(300)]
    monkeypatch.setattr(noise.Stage, "play", play)
    # When two seeds are measured, then half is won back, and four fifths could be
    result = noise.measure(rows, rows[:1], [0, 1], {})
    assert (result["headline"], result["a_perfect_eye"], result["loss_points"]) == (0.5, 0.8, 10.0)


@pytest.mark.slow
def test_given_a_careless_source_when_played_then_its_wrong_labels_are_held_back() -> None:
    rows = [noise.Text(Input(text=row.text), row.label) for row in texts(900)]
    result = noise.measure(rows[:700], rows[700:], [0], {**LIGHT, "head": {"kind": "ncm"}})
    found: Mapping[str, Mapping[str, Any]] = {row["labels"]: row for row in result["rows"]}
    trusted = found["noisy, with trust"]
    # Then the careless source is found out, on its wrong labels alone
    assert trusted["distrusted"] == CARELESS
    assert trusted["held back"] > 0.5 * result["wrong_labels"]
    assert trusted["of them right"] <= 2
    assert [found[name]["held back"] for name in ("clean, one source", "clean, two sources")] == [0, 0]
