from __future__ import annotations

import pytest

from daemon.bench import http
from daemon.bench.client import ask, load
from daemon.errors import RetaindError
from daemon.http.app import create_app, serve
from daemon.http.auth import rules
from tests.http.test_api import FakeServices


def test_given_many_requests_on_few_connections_when_loaded_then_answers_are_in_the_order_of_the_bodies() -> None:
    server = serve(create_app(FakeServices(), rules("127.0.0.1", None, 10_000, 5.0)), "127.0.0.1", 0)
    try:
        bodies = [{"task": "support", "text": str(number)} for number in range(40)]
        answers = load(server.port, "/v1/predict", bodies, 4)
        assert [(status, body["label"]) for status, body in answers] == [(200, str(number)) for number in range(40)]
        assert ask(server.port, "/livez") == (200, {"live": True})
        assert load(server.port, "/v1/predict", [{"text": "a"}], 1)[0][0] == 404
    finally:
        server.close()


def test_given_a_request_that_was_refused_when_told_then_nothing_is_measured() -> None:
    with pytest.raises(RetaindError, match="1 of 2 requests failed"):
        http._labels(http.OURS, [(200, {"label": "a"}), (429, {})])


@pytest.mark.chaos
def test_the_servers_answer_every_request_with_the_same_label() -> None:
    # Given the servers, When a few requests come over several connections
    result = http.measure(8, rounds=1, connections=4)
    # Then all were answered (else it raises), alike, and each server's own CPU was counted
    rows = {row["what"]: row for row in result["rows"]}
    assert rows[http.OURS]["same_label_as_the_peer_ratio"] == 1.0
    assert all(row["cpu_ms_per_request"] > 0 for row in rows.values())
    assert rows[http.PEER]["times_the_peer"] == 1.0
    assert result["headline"] == rows[http.INT8]["times_the_peer"]
