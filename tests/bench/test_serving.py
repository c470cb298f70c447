from __future__ import annotations

from daemon.bench import serving
from daemon.bench.texts import texts


def test_ours_and_the_pipeline_give_the_same_labels_and_they_are_of_several_classes() -> None:
    # Given a few texts of several classes, When both label them
    result = serving.measure(16, rounds=1)
    # Then the same weights gave the same labels, and the headline is the row's ratio
    rows = {row["what"]: row for row in result["rows"]}
    assert result["agreement_ratio"] == 1.0
    assert result["headline"] == rows[serving.OURS]["times_the_peer"] > 0
    assert rows[serving.PEER]["times_the_peer"] == 1.0
    assert len({text.label for text in texts(16)}) > 5
