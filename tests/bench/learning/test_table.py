from __future__ import annotations

from typing import Any

import pytest

from daemon.bench.learning.table import interval, shots_rows, summary_row, told


def run(final: float, **more: Any) -> dict[str, Any]:
    return {"final": final, "cpu_s": 10 * final, "trained_samples": 3, "peak_rss_bytes": 2_000_000, **more}


def test_the_interval_is_students() -> None:
    # t of 2 degrees at 97.5% is 4.303; the deviation of 1, 2, 3 is 1
    mean, half = interval([1, 2, 3])
    assert mean == 2
    assert half == pytest.approx(4.303 / 3**0.5)
    assert interval([0.5]) == (0.5, None)
    assert told([0.9, 0.9]) == "0.900 ± 0.000"


def test_a_learner_is_one_row_and_what_it_has_not_is_empty() -> None:
    row = summary_row("ours", [run(0.5, any_time={"all": 0.4, "young": None}, forgetting=0.1)], 0.0002)
    assert row == {
        "what": "ours",
        "final": "0.500",
        "average_incremental": "",
        "any_time": "0.400",
        "any_time_young": "",
        "forgetting": "0.100",
        "backward_transfer": "",
        "cpu_s": "5",
        "trained_samples": 3,
        "peak_mb": 2,
        "learning_rate": 0.0002,
    }


def test_few_labels_are_a_row_for_each_number_of_texts() -> None:
    def seed(accuracy: float) -> list[dict[str, Any]]:
        return [
            {"head": "fast", "shots": 0, "names": True, "accuracy": accuracy},
            {"head": "fast", "shots": 1, "names": True, "accuracy": 0.7},
            {"head": "linear", "shots": 1, "names": False, "accuracy": 0.6},
        ]

    none, one = shots_rows([seed(0.5), seed(0.5)])
    assert (none["texts_a_class"], none["fast_head_with_names"], none["fast_head"]) == (0, "0.500 ± 0.000", "")
    assert (one["texts_a_class"], one["linear_head_on_frozen_features"]) == (1, "0.600 ± 0.000")
