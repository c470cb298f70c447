from __future__ import annotations

from daemon.bench.ingest import OURS, PEER, measure
from daemon.config.kafka import Kafka


def test_both_read_every_event(kafka: str) -> None:
    # Given a broker, When a few events are measured (each side raises unless it has them all)
    result = measure(3000, Kafka(bootstrap_servers=[kafka]), rounds=1)
    # Then the document holds both sides
    rows = {row["what"]: row for row in result["rows"]}
    assert set(rows) == {OURS, PEER}
    assert result["headline"] == rows[OURS]["of_the_peer"] > 0
    assert rows[OURS]["events_per_cpu_second"] > 0
