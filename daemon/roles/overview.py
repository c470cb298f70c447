"""What people see of the state: the same documents for the command line and HTTP. Reads files only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from daemon.buffer.ports import BufferReader
from daemon.config.paths import StatePaths
from daemon.config.task import TaskConfig
from daemon.heads.store import state_cursor
from daemon.registry.diff import verdict_of
from daemon.registry.version import Alias, Registry, Version
from daemon.roles.standing import standing
from daemon.trust.ledger import read_summary
from daemon.update.joint import growth
from daemon.update.trigger import events_needed

SHOWN_SOURCES = 20
"""Sources that have a gauge of their own."""
ALIASES: tuple[Alias, ...] = ("champion", "previous")


def version_row(registry: Registry, version: Version) -> dict[str, Any]:
    """One line of a list of versions."""
    task = version.meta.task
    verdict = verdict_of(registry, version)
    return {
        "id": version.id,
        "task": task,
        "created": version.created,
        "parent": version.meta.parent,
        "cursor": version.meta.cursor,
        "tune": version.meta.tune["kind"],
        "verdict": verdict.details["decision"] if verdict else "-",
        "aliases": [alias for alias in ALIASES if registry.alias(task, alias) == version.id],
    }


def task_status(
    registry: Registry, reader: BufferReader | None, paths: StatePaths, task: str, config: TaskConfig
) -> dict[str, Any]:
    """Where one task stands. ``update_after_events``: how many new train events start the next update."""
    now, labels = standing(registry, task), read_summary(paths.ledger(task))
    champion = registry.alias(task, "champion")
    stats = asdict(reader.stats(task)) if reader is not None else None
    least = growth(config.update, now.joint)
    return {
        "task": task,
        "champion": champion,
        "previous": registry.alias(task, "previous"),
        "snapshot_cursor": state_cursor(paths.head(task, champion)) if champion else None,
        "covered": now.covered,
        "held": now.held,
        "paused": now.paused,
        "rejections": now.rejections,
        "update_after_events": events_needed(
            config.trigger, now.finished is None, now.rejections, labels["grown_error"], least
        ),
        "buffer": stats,
        "labels": labels,
    }


def trust_samples(paths: StatePaths, task: str) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Gauges of one task's labels; of the sources those with most labels."""
    told = read_summary(paths.ledger(task))
    if told["error"] is not None:
        yield "prequential_error_ratio", (task,), float(told["error"])
    yield "label_suspects", (task,), float(told["suspects"])
    yield "label_contradictions", (task,), float(told["contradictions"])
    for source, row in islice(told["sources"].items(), SHOWN_SOURCES):
        yield "source_trust_ratio", (task, source), float(row["trust"])


def text_of(document: Mapping[str, Any], indent: str = "") -> str:
    """A nested document as aligned lines."""
    lines = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", text_of(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key:<18}{value}")
    return "\n".join(lines)
