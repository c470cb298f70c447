"""The JSON form of a prediction."""

from __future__ import annotations

from uuid import UUID

import orjson

from daemon.serving.answer import prediction, prediction_id

FIELDS = {"label": "lost", "score": 0.9, "scores": {"lost": 0.9}, "version": "000042", "labels_seen": 18211}


def test_a_prediction_has_the_documented_fields() -> None:
    # Given the fields of an answer to a record of the stream
    # When it becomes a prediction
    made = prediction("tkt-1", "support", FIELDS, ("retaind.requests", 0, 7), 1_700_000_000.1234, 6.23456)
    # Then it has what the reference says, and is JSON
    assert orjson.loads(orjson.dumps(made)) == {
        "id": "tkt-1",
        "task": "support",
        "prediction_id": prediction_id("support", "tkt-1", ("retaind.requests", 0, 7)),
        **FIELDS,
        "time": "2023-11-14T22:13:20.123Z",
        "latency_ms": 6.235,
    }


def test_the_same_request_gets_the_same_id_and_another_another() -> None:
    # Given requests that differ in one thing each
    asked = [
        ("support", "a", ("in", 0, 1)),
        ("other", "a", ("in", 0, 1)),
        ("support", "b", ("in", 0, 1)),
        ("support", "a", ("out", 0, 1)),
        ("support", "a", ("in", 1, 1)),
        ("support", "a", ("in", 0, 2)),
        ("support", "a|in|0", ("in", 0, 1)),
    ]
    # When each is answered twice
    ids = [[prediction_id(*one) for one in asked] for _ in range(2)]
    # Then the ids are those of the first time, and all differ
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(asked)
    # And they never change from one release to the next
    assert ids[0][0] == EXPECTED


def test_without_a_place_the_id_is_new() -> None:
    # Given requests over HTTP, with and without an id
    made = [prediction(event_id, "support", FIELDS, None, 0.0, 1.0) for event_id in ("a", "a", None)]
    # Then each has a prediction_id of its own, and there is no id where none was given
    assert len({UUID(one["prediction_id"]) for one in made}) == 3
    assert [one.get("id") for one in made] == ["a", "a", None]
    assert "id" not in made[2]


EXPECTED = "4125462d-ef6e-57c7-951a-90e3cca4c511"
