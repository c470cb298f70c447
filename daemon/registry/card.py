"""The model card of a version (Mitchell et al. 2019), as Markdown.

A view: it is made from the manifest, the label map and the history whenever it is asked for, so that it
tells the verdict and the promotions that came after the version was made. Nothing of it is stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.registry.diff import labels, verdict_of
from daemon.registry.version import HistoryEntry, Registry, Version

FEW_ROWS = 10
"""A class with fewer training rows is named among the limitations."""
SPLITS = ("new", "pool", "validation", "holdout")
MEASURED = (
    ("validation_champion", "validation, champion"),
    ("validation_candidate", "validation, this version"),
    ("holdout_champion", "holdout, champion"),
    ("holdout_candidate", "holdout, this version"),
    ("loss", "training loss, last"),
    ("wise_ft_ratio", "share of the way from the parent's weights to the trained ones"),
    ("steps", "steps"),
    ("trained_samples", "texts trained on"),
    ("cpu_s", "processor seconds"),
)
"""Key among the training's metrics, and what the card calls it."""


def card(registry: Registry, version_id: str) -> str:
    """The card of a version, its hashes verified. Raises what ``Registry.load`` raises."""
    version = registry.load(version_id)
    verdict = verdict_of(registry, version)
    sections = {
        f"# {version.meta.task}, version {version.id}": _head(registry, version),
        "## Intended use": _use(version),
        "## How it was made": _made(version),
        "## Training data": _data(version),
        "## Metrics": _metrics(version),
        "## Verdict": _verdict(verdict),
        "## History": _history(registry.history(version=version.id)),
        "## Files": (f"- `{name}` {digest}" for name, digest in sorted(version.files.items())),
        "## Limitations": _limits(version, verdict),
    }
    return "\n\n".join("\n".join([title, "", *lines]) for title, lines in sections.items()) + "\n"


def _head(registry: Registry, version: Version) -> Iterator[str]:
    meta = version.meta
    names = [alias for alias in ("champion", "previous") if registry.alias(meta.task, alias) == version.id]
    yield f"Made {_when(version.created)}. {_of(len(labels(version)), 'class', 'classes')}. " + (
        f"Served as {' and '.join(names)}." if names else "Not served."
    )


def _use(version: Version) -> Iterator[str]:
    yield (
        f"Answers events of the task `{version.meta.task}` (type `{version.meta.task_type}`) as they come in the "
        "stream that it was trained on, together with its fast head. It was judged on a holdout of that "
        "stream only; on texts of another kind, language or time its quality is unknown. An answer is a suggestion: "
        "what decides about a person wants a person's look."
    )


def _made(version: Version) -> Iterator[str]:
    meta, recipe = version.meta, version.meta.recipe
    tune = ", ".join(f"{key} {value}" for key, value in meta.tune.items())
    yield f"- base: `{meta.base}`, SHA-256 {meta.base_sha256}, texts cut at {meta.max_tokens} tokens"
    yield f"- parent: {meta.parent or 'none: this is the base version'}"
    yield f"- tune: {tune}"
    if recipe:
        strategies = [str(item["name"]) for item in recipe["config"]["strategies"]]
        yield f"- strategies: {', '.join(strategies) or 'none'}"
        yield f"- fast head: {recipe['config']['head']['kind']}"
        yield f"- seed: {recipe['seed']}; split seed: {recipe['config']['split']['seed']}"
        yield f"- job {meta.metrics.get('job')}, started because of: {recipe['reason']}; changes up to {meta.cursor}"


def _data(version: Version) -> Iterator[str]:
    rows: Mapping[str, Mapping[str, int]] = version.meta.metrics.get("rows_per_class", {})
    if not rows:
        yield "None: the encoder as it came."
        return
    yield "| class | new | replay pool | validation | holdout |"
    yield "|---|---|---|---|---|"
    for label in labels(version):
        counts = " | ".join(str(rows[split].get(label, 0)) for split in SPLITS)
        yield f"| {_cell(label)} | {counts} |"
    yield "| all | " + " | ".join(str(sum(rows[split].values())) for split in SPLITS) + " |"


def _metrics(version: Version) -> Iterator[str]:
    found = version.meta.metrics
    rows = [f"| {told} | {found[key]:.6g} |" for key, told in MEASURED if key in found]
    if not rows:
        yield "Not trained."
        return
    yield f"Metric: {found.get('metric', 'the primary one of the task')}."
    yield ""
    yield "| what | value |"
    yield "|---|---|"
    yield from rows


def _verdict(verdict: HistoryEntry | None) -> Iterator[str]:
    if verdict is None:
        yield "Not judged."
        return
    details = verdict.details
    yield (
        f"**{details['decision']}**, {'promoted' if details['promoted'] else 'not promoted'}, on {details['rows']} "
        f"holdout rows against version {details['judged_against']}: {details['champion']:.4f} -> "
        f"{details['candidate']:.4f}."
    )
    yield ""
    yield "| check | passed | margin | reason |"
    yield "|---|---|---|---|"
    for check in details["checks"]:
        told = "yes" if check["passed"] else "no"
        yield f"| {check['name']} | {told} | {check['margin']:+.4f} | {_cell(check['reason'])} |"


def _history(entries: Sequence[HistoryEntry]) -> Iterator[str]:
    for entry in entries:
        yield f"- {_when(entry.time)} {entry.kind}, by {entry.who}{f': {_cell(entry.why)}' if entry.why else ''}"


def _limits(version: Version, verdict: HistoryEntry | None) -> Iterator[str]:
    yield "- Scores order the classes; they are not calibrated probabilities."
    yield f"- Texts are cut at {version.meta.max_tokens} tokens."
    yield "- The base encoder's own limits (its language above all) are its limits."
    yield "- It chooses among the classes above, also where none fits."
    rows: Mapping[str, Mapping[str, int]] = version.meta.metrics.get("rows_per_class", {})
    if not rows:
        return
    few = [label for label in labels(version) if sum(rows[split].get(label, 0) for split in ("new", "pool")) < FEW_ROWS]
    unmeasured = [label for label in labels(version) if not rows["holdout"].get(label)]
    if few:
        yield f"- Fewer than {FEW_ROWS} training rows in this update: {_listed(few)}."
    if unmeasured:
        yield f"- No holdout row, so not measured: {_listed(unmeasured)}."
    if verdict is not None and verdict.details["decision"] == "insufficient":
        yield "- The holdout was too small for the gate to say more than stands above."


def _listed(names: Sequence[str], most: int = 20) -> str:
    told = ", ".join(_cell(name) for name in names[:most])
    return told if len(names) <= most else f"{told} and {len(names) - most} more"


def _cell(text: Any) -> str:
    """Text of others: in one line, with nothing in it that Markdown or a browser would act on."""
    line = " ".join(str(text).split())
    for sign in "\\`*_[]<>|":
        line = line.replace(sign, f"\\{sign}")
    return line


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _of(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
