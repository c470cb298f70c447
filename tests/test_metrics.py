"""Metrics: declared, documented, there from the start, bounded, summed over processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.metrics import GAUGES, MAX_VALUES, METRICS, OUTCOMES, PrometheusObserver, StateCollector, render

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference" / "metrics.md"
NOTHING = StateCollector(list)


def test_given_a_fresh_daemon_when_scraped_then_every_series_of_a_task_is_there_at_zero() -> None:
    text = render(PrometheusObserver(["support"]), NOTHING).decode()
    for name, declared in METRICS.items():
        if "task" in declared.labels:
            assert f"retaind_{name}" in text
    assert 'retaind_events_total{outcome="stored",task="support"} 0.0' in text


def test_given_counts_when_scraped_then_they_are_in_the_text() -> None:
    observer = PrometheusObserver(["support"])
    observer.count("predictions_total", 3, task="support")
    observer.measure("prediction_latency_seconds", 0.004, task="support")
    state = StateCollector(lambda: [("champion_info", ("support", "000002"), 1.0)])
    text = render(observer, state).decode()
    assert 'retaind_predictions_total{task="support"} 3.0' in text
    assert 'retaind_prediction_latency_seconds_count{task="support"} 1.0' in text
    assert 'retaind_champion_info{task="support",version="000002"} 1.0' in text


def test_given_ten_thousand_values_of_a_label_when_counted_then_the_series_are_bounded() -> None:
    observer = PrometheusObserver([])
    for number in range(10_000):
        observer.count("events_total", task=f"t{number}", outcome="stored")
    text = render(observer, NOTHING).decode()
    assert text.count("retaind_events_total{") <= MAX_VALUES + 1
    assert f'task="other"}} {10_000 - MAX_VALUES}.0' in text


def test_given_an_undeclared_metric_when_counted_then_it_is_refused() -> None:
    with pytest.raises(KeyError):
        PrometheusObserver([]).count("nothing_total")


def test_given_two_processes_when_scraped_then_their_counts_are_summed(tmp_path: Path) -> None:
    count = (
        "from daemon.metrics import *\nimport sys\n"
        "o = PrometheusObserver(['support']); o.count('predictions_total', 2, task='support')\n"
        "if sys.argv[1:]: print(render(o, StateCollector(lambda: [])).decode())"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", count], check=True, env=environment)
    done = subprocess.run(
        [sys.executable, "-c", count, "show"], check=True, env=environment, capture_output=True, text=True
    )
    assert 'retaind_predictions_total{task="support"} 4.0' in done.stdout


def test_given_the_reference_when_read_then_every_metric_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert ", ".join(OUTCOMES) in text
    assert [name for name in (*METRICS, *GAUGES) if f"`retaind_{name}`" not in text] == []
