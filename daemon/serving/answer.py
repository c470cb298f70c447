"""The JSON form of a prediction (docs/reference), whoever asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

NAMESPACE = UUID("8d4ae0a5-5f4e-5b53-9d0e-0c5f3f6d1a27")
"""Of every prediction_id; never change it, consumers recognise repeated answers by the id."""

Place = tuple[str, int, int]
"""(topic, partition, offset) of the request."""


def prediction_id(task: str, event_id: str, place: Place) -> str:
    """The same for the same request, however often it is answered."""
    topic, partition, offset = place
    return str(uuid5(NAMESPACE, f"{task}|{event_id}|{topic}|{partition}|{offset}"))


def prediction(
    event_id: str | None, task: str, fields: Mapping[str, Any], place: Place | None, now: float, latency_ms: float
) -> dict[str, Any]:
    """One prediction.

    ``fields`` as :meth:`ServedModel.answer` gives them; ``now`` in seconds since the epoch. Without a
    ``place`` in a stream (HTTP) the prediction_id is a new one; without an id, ``id`` is left out.
    """
    known = event_id is not None and place is not None
    made: dict[str, Any] = {} if event_id is None else {"id": event_id}
    made["task"] = task
    made["prediction_id"] = prediction_id(task, event_id or "", place) if known and place else str(uuid4())
    made.update(fields)
    made["time"] = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    made["latency_ms"] = round(latency_ms, 3)
    return made
