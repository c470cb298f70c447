from __future__ import annotations

import pytest

from daemon.bench import http


@pytest.mark.slow
def test_both_servers_answer_every_request_with_the_same_label() -> None:
    # Given both servers, When a few requests come over several connections
    result = http.measure(8, rounds=1, connections=4)
    # Then all were answered (else it raises), alike, and each server's own CPU was counted
    rows = {row["what"]: row for row in result["rows"]}
    assert result["agreement_ratio"] == 1.0
    assert all(row["cpu_ms_per_request"] > 0 for row in rows.values())
    assert rows[http.PEER]["times_the_peer"] == 1.0
    assert result["headline"] == rows[http.OURS]["times_the_peer"]
