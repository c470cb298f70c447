"""Metrics for Prometheus: counters and histograms of all roles, gauges read at scrape time.

Processes share counters through prometheus-client's multiprocess files (``PROMETHEUS_MULTIPROC_DIR``,
set by the supervisor). Every series is there from the start. Label values never come from event texts,
and a label has at most ``MAX_VALUES`` of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

MAX_VALUES = 100
OUTCOMES = (
    "stored",
    "duplicate",
    "revision",
    "late_label",
    "dead_lettered",
    "retracted",
    "erased",
    "pending",
    "ignored",
)
FAST_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
SLOW_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 900, 3600)


@dataclass(frozen=True, slots=True)
class Declared:
    """``initial``: label sets (beside ``task``) that are there from the start."""

    kind: str
    help: str
    labels: tuple[str, ...]
    initial: tuple[tuple[str, ...], ...] = ((),)
    buckets: tuple[float, ...] = ()


def _each(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


METRICS: Mapping[str, Declared] = {
    "events_total": Declared("counter", "Events, by what became of them.", ("task", "outcome"), _each(*OUTCOMES)),
    "predictions_total": Declared("counter", "Predictions given.", ("task",)),
    "prediction_latency_seconds": Declared("histogram", "From request to answer.", ("task",), buckets=FAST_BUCKETS),
    "updates_total": Declared(
        "counter", "Updates that ended.", ("task", "outcome"), _each("promoted", "rejected", "failed", "cancelled")
    ),
    "update_duration_seconds": Declared(
        "histogram", "Duration of an update.", ("task", "phase"), _each("total"), SLOW_BUCKETS
    ),
    "gate_verdicts_total": Declared(
        "counter", "Verdicts of the gate.", ("task", "verdict"), _each("pass", "fail", "insufficient")
    ),
    "swaps_total": Declared("counter", "Versions swapped in by a predictor.", ("task",)),
    "swap_failures_total": Declared("counter", "Versions that did not load.", ("task",)),
    "dead_letters_total": Declared("counter", "Records that are no events, by reason.", ("reason",), ()),
    "probe_seconds": Declared(
        "histogram", "From a probe's production to where it is.", ("stage",), _each("stored", "answered"), FAST_BUCKETS
    ),
    "ingest_lost_records_total": Declared(
        "counter", "Records that retention removed before they were read.", ("topic",), ()
    ),
}
"""Counters and histograms, without the prefix ``retaind_``."""

GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "buffer_events": ("Events kept.", ("task",)),
    "buffer_bytes": ("Bytes of the buffer.", ()),
    "champion_info": ("1 for the version that is served.", ("task", "version")),
    "champion_timestamp_seconds": ("When the champion was promoted.", ("task",)),
    "consumer_lag_records": ("Records not yet stored.", ("topic", "partition")),
    "ingest_paused": ("1 while reading pauses for this reason.", ("reason",)),
    "outbox_bytes": ("Bytes of dead letters that wait for their topic.", ()),
    "outbox_letters": ("Dead letters that wait for their topic.", ()),
    "label_contradictions": ("Labels that contradicted another event's on the same normalised input.", ("task",)),
    "prequential_error_ratio": (
        "Share of labels that the fast head contradicted before learning them.",
        ("task",),
    ),
    "label_suspects": ("Labels that are held back.", ("task",)),
    "source_trust_ratio": ("Share of a source's labels that are no guesses.", ("task", "source")),
    "head_staleness_seconds": ("Age of the oldest label not yet in the answer.", ("task",)),
}
"""Gauges that tell the state, read by :class:`StateCollector` at scrape time."""

Sample = tuple[str, tuple[str, ...], float]
"""(gauge, label values, value)"""


class PrometheusObserver:
    """Implements ``daemon.observe.Observer``. Raises KeyError for a metric that is not declared."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Histogram] = {}
        self._seen: dict[tuple[str, str], set[str]] = {}
        for name, declared in METRICS.items():
            self._made[name] = self._make(name, declared)
            for rest in declared.initial:
                for task in tasks if "task" in declared.labels else ("",):
                    values = (task, *rest) if "task" in declared.labels else rest
                    self._made[name].labels(*values)

    def _make(self, name: str, declared: Declared) -> Counter | Histogram:
        full = f"retaind_{name}"
        if declared.kind == "counter":
            return Counter(full, declared.help, declared.labels, registry=self.registry)
        return Histogram(full, declared.help, declared.labels, registry=self.registry, buckets=declared.buckets)

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        made = self._made[metric]
        assert isinstance(made, Counter), metric
        made.labels(**self._bounded(metric, labels)).inc(amount)

    def measure(self, metric: str, value: float, **labels: str) -> None:
        made = self._made[metric]
        assert isinstance(made, Histogram), metric
        made.labels(**self._bounded(metric, labels)).observe(value)

    def _bounded(self, metric: str, labels: Mapping[str, str]) -> dict[str, str]:
        bounded = {}
        for name, value in labels.items():
            seen = self._seen.setdefault((metric, name), set())
            if value not in seen and len(seen) >= MAX_VALUES:
                value = "other"
            seen.add(value)
            bounded[name] = value
        return bounded


class StateCollector(Collector):
    """``read`` gives the samples; called at every scrape."""

    def __init__(self, read: Callable[[], Iterable[Sample]]) -> None:
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families = {
            name: GaugeMetricFamily(f"retaind_{name}", help_text, labels=labels)
            for name, (help_text, labels) in GAUGES.items()
        }
        for name, values, value in self._read():
            families[name].add_metric(list(values), value)
        return families.values()


def prepare_multiprocess(directory: Path) -> None:
    """Empty the directory of the multiprocess files: at a start all counters begin at 0."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def render(observer: PrometheusObserver, state: StateCollector) -> bytes:
    """The exposition text: of all processes where they share files, else of this one."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry = observer.registry
    own = CollectorRegistry()
    own.register(state)
    return generate_latest(registry) + generate_latest(own)
