"""What distinguishes two versions of a task: base, tune, strategies, labels, configuration, metrics, verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from daemon.errors import CommandRefused
from daemon.registry.version import HistoryEntry, Registry, Version

ABSENT = None
"""Stands for a key that one of the two does not have."""


def diff(registry: Registry, a: str, b: str) -> dict[str, Any]:
    """Both versions verified, then compared: what is equal is left out.

    ``base``, ``tune``, ``strategies``, ``verdict``: a pair, or absent; ``labels``: those added and removed;
    ``config``, ``metrics``: dotted key -> pair (for numbers b - a as a third); ``files``: names that differ.
    Raises what ``Registry.load`` raises, and CommandRefused for versions of two tasks.
    """
    first, second = registry.load(a), registry.load(b)
    if first.meta.task != second.meta.task:
        raise CommandRefused(
            f"version {a} is of task {first.meta.task!r}, {b} of {second.meta.task!r}: compare two of one task"
        )
    before, after = labels(first), labels(second)
    document: dict[str, Any] = {"task": first.meta.task, "a": a, "b": b}
    pairs = {
        "base": (_base(first), _base(second)),
        "parent": (first.meta.parent, second.meta.parent),
        "tune": (dict(first.meta.tune), dict(second.meta.tune)),
        "strategies": (_config(first).get("strategies"), _config(second).get("strategies")),
        "verdict": (_verdict(registry, first), _verdict(registry, second)),
    }
    document |= {name: list(pair) for name, pair in pairs.items() if pair[0] != pair[1]}
    added, removed = [x for x in after if x not in before], [x for x in before if x not in after]
    if added or removed:
        document["labels"] = {"added": added, "removed": removed}
    document["config"] = _changed(_config(first), _config(second))
    document["metrics"] = _changed(first.meta.metrics, second.meta.metrics)
    document["files"] = sorted(n for n in {*first.files, *second.files} if first.files.get(n) != second.files.get(n))
    return document


def labels(version: Version) -> list[str]:
    """The classes of the tuned head, in the order of its rows."""
    found: list[str] = orjson.loads((version.path / "labels.json").read_bytes())
    return found


def verdict_of(registry: Registry, version: Version) -> HistoryEntry | None:
    """The gate's last word on a version; None where it was not judged."""
    entries = registry.history(version.meta.task, version.id)
    return next((entry for entry in reversed(entries) if entry.kind == "verdict"), None)


def text_of_diff(document: Mapping[str, Any]) -> str:
    """As lines: ``a -> b`` for each difference."""
    lines = [f"{document['task']}: {document['a']} -> {document['b']}"]
    for name in ("base", "parent", "tune", "strategies", "verdict"):
        if name in document:
            before, after = document[name]
            lines.append(f"{name:<12}{_short(before)} -> {_short(after)}")
    for word, names in document.get("labels", {}).items():
        lines += [f"{'labels':<12}{word}: {', '.join(names)}"] * bool(names)
    for part in ("config", "metrics"):
        for key, (before, after, *by) in document[part].items():
            lines.append(f"{part:<12}{key}: {_short(before)} -> {_short(after)}{f' ({by[0]:+.4g})' if by else ''}")
    lines.append(f"{'files':<12}{', '.join(document['files']) or 'all the same'}")
    return "\n".join(lines)


def _base(version: Version) -> dict[str, Any]:
    return {"name": version.meta.base, "sha256": version.meta.base_sha256, "max_tokens": version.meta.max_tokens}


def _config(version: Version) -> Mapping[str, Any]:
    found: Mapping[str, Any] = version.meta.recipe.get("config", {})
    return found


def _verdict(registry: Registry, version: Version) -> dict[str, Any] | None:
    entry = verdict_of(registry, version)
    if entry is None:
        return None
    return {"decision": entry.details.get("decision"), "promoted": entry.details.get("promoted"), "why": entry.why}


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    left, right = dict(_leaves(a)), dict(_leaves(b))
    found = {}
    for key in [*left, *(key for key in right if key not in left)]:
        before, after = left.get(key, ABSENT), right.get(key, ABSENT)
        if before != after:
            found[key] = [before, after, *_difference(before, after)]
    return found


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from _leaves(value, name)
        else:
            yield name, value


def _difference(before: Any, after: Any) -> Iterator[float]:
    if {type(before), type(after)} <= {int, float}:
        yield after - before


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
