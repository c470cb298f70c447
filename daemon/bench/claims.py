"""What we claim: the name of each bench, where it is measured, and what its headline says.

A module named here has ``run(quick: bool) -> dict``, the document that :func:`daemon.bench.result.document`
makes: ``run(quick, kafka)`` where it needs brokers, ``run(quick, plan)`` where it plays a history. It is imported when
it runs, so that the command line stays light.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from daemon.config.kafka import Kafka

if TYPE_CHECKING:
    from daemon.bench.learning.plan import Plan


class Claim(NamedTuple):
    """``module`` measures; ``headline``: what its one number is; ``on_kafka``: it needs brokers; ``on_history``:
    it plays a file of events, or texts of our own."""

    module: str
    headline: str
    on_kafka: bool = False
    on_history: bool = False

    def run(self, quick: bool, kafka: Kafka, plan: Plan) -> dict[str, Any]:
        """Measure: minutes (those on a history: hours), or with ``quick`` about one."""
        settings = (*((kafka,) if self.on_kafka else ()), *((plan,) if self.on_history else ()))
        document: dict[str, Any] = importlib.import_module(self.module).run(quick, *settings)
        return document


CLAIMS: Mapping[str, Claim] = {
    "training": Claim("daemon.bench.training", "texts per CPU second, ours ÷ transformers.Trainer"),
    "serving": Claim("daemon.bench.serving", "texts per CPU second, ours ÷ transformers pipeline"),
    "http": Claim(
        "daemon.bench.http", "requests per server CPU second at 32 connections, ours (int8) ÷ FastAPI + pipeline"
    ),
    "swap": Claim("daemon.bench.swap", "requests failed or answered by a wrong version during 1,000 swaps"),
    "update-cost": Claim(
        "daemon.bench.update_cost", "CPU seconds of one update with 100 times the history ÷ with 5,000 events"
    ),
    "ingest": Claim(
        "daemon.bench.ingest", "durable events per second, ours ÷ a bare kafka-python consumer loop", on_kafka=True
    ),
    "freshness": Claim(
        "daemon.bench.freshness",
        "p99 seconds from produced label to changed answer, 10 labels a second, an update training",
    ),
    "noise": Claim(
        "daemon.bench.noise", "share of the loss by wrong labels of one source that is won back", on_history=True
    ),
    "buffer": Claim("daemon.bench.buffer", "milliseconds of a class-balanced sample of 256 events"),
    "learning": Claim(
        "daemon.bench.learning.run", "points of final accuracy, default recipe − joint training", on_history=True
    ),
}
