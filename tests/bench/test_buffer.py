from __future__ import annotations

from daemon.bench.buffer import measure


def test_the_bench_measures_what_it_says() -> None:
    # Given a small buffer, When it is measured
    result = measure(3000, rounds=3, peers=1)
    # Then the document holds the headline, the peer and the appends
    rows = {row["what"]: row for row in result["rows"]}
    assert result["headline"] == rows["class-balanced"]["median_ms"] > 0
    assert rows["peer: ORDER BY random()"]["samples"] == 1
    assert result["appends_per_second"] > 0
    assert result["events"] == 3000
