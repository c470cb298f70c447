"""The format of an update job: a frozen directory with all that one update of one task needs.

::

    jobs/000007/
      job.json               this manifest, written last, with the SHA-256 of every file
      new.jsonl pool.jsonl validation.jsonl holdout.jsonl refit.jsonl    StoredEvents, one a line
      parent/                the parent version (hard links; with manifest.json)
      fast/                  the champion's HeadState at ``cursor`` (absent without a fast head)

    out/attempt-1/
      progress.jsonl         {"phase", "done", "total", "loss", …} appended as it goes
      version/               the candidate, ready for Registry.publish
      scores.safetensors     champion, candidate [N, k]; validation_champion, validation_candidate
      result.json            JobResult, written last: an attempt without it does not count

This module is the one of ``daemon.update`` that the trainer sees; it imports no torch.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from daemon.durable import sha256, sync_path, sync_tree, write_atomically, write_synced
from daemon.errors import TrainingError
from daemon.events import Input, LabelValue, Split, StoredEvent


@dataclass(frozen=True, slots=True)
class UpdateJob:
    """The manifest. ``labels``: the class list the candidate will have (the parent's first, in order);
    ``old_labels``: how many of them the parent had; ``config`` is ``TaskConfig.model_dump(mode="json")``;
    ``cursor``: the last change covered; ``joint``: 0, or the train events stored where ``new.jsonl`` is all of them and
    the base is trained, whatever the parent is (:mod:`daemon.update.joint`); ``left_out``: (since, until, active) of
    labels that rollbacks left out."""

    id: str
    task: str
    parent: str
    cursor: int
    labels: tuple[str, ...]
    old_labels: int
    seed: int
    created: float
    config: Mapping[str, Any]
    reason: str
    counts: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[tuple[float, float, bool], ...] = ()
    joint: int = 0


@dataclass(frozen=True, slots=True)
class JobResult:
    """What an attempt says at its end.

    ``holdout_labels``, ``validation_labels``: the true class (or "") of each row, in order; ``blend``: the weight of
    the tuned head found on validation; ``metrics``: losses, values on validation and holdout, seconds per
    phase, ``trained_samples``, ``cpu_s``, ``peak_rss_bytes``.
    """

    job: str
    attempt: int
    metric: str
    blend: float
    holdout_labels: tuple[str, ...]
    validation_labels: tuple[str, ...]
    metrics: Mapping[str, Any]


ROWS = ("new", "pool", "validation", "holdout", "refit")
MANIFEST = "job.json"
RESULT = "result.json"


def write_job(
    directory: Path,
    job: UpdateJob,
    rows: Mapping[str, Sequence[StoredEvent]],
    parent: Path,
    fast: Path | None,
) -> UpdateJob:
    """Freeze. ``rows``: by the names in ``ROWS``; ``parent``: the version's directory, linked where the
    file system can; ``fast``: the champion's HeadState, copied. The directory appears whole or not at all."""
    staging = directory.with_name(f".{directory.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name in ROWS:
        with (staging / f"{name}.jsonl").open("wb") as file:
            file.writelines(orjson.dumps(_row(event)) + b"\n" for event in rows.get(name, ()))
    shutil.copytree(parent, staging / "parent", copy_function=_link)
    if fast is not None and fast.is_dir():
        shutil.copytree(fast, staging / "fast")
    sync_tree(staging)
    counts = {name: len(rows.get(name, ())) for name in ROWS}
    frozen = replace(job, counts=counts, files=_hashes(staging))
    write_synced(staging / MANIFEST, orjson.dumps(asdict(frozen), option=orjson.OPT_INDENT_2))
    staging.replace(directory)
    sync_path(directory.parent)
    return frozen


def read_job(directory: Path, *, verify: bool = True) -> UpdateJob:
    """Raises TrainingError for a job that is not complete or whose files differ from its manifest."""
    try:
        content = orjson.loads((directory / MANIFEST).read_bytes())
        windows = tuple((since, until, active) for since, until, active in content.get("left_out", ()))
        job = UpdateJob(**{**content, "labels": tuple(content["labels"]), "left_out": windows})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{directory / MANIFEST} is not a job: {error}") from error
    if verify:
        for name, expected in job.files.items():
            path = directory / name
            if not path.is_file() or sha256(path) != expected:
                raise TrainingError(f"{path} is missing or not what {MANIFEST} says: the job is not trained")
    return job


def read_rows(directory: Path, name: str) -> list[StoredEvent]:
    """The events of ``NAME.jsonl``, in order."""
    with (directory / f"{name}.jsonl").open("rb") as file:
        return [_event(orjson.loads(line)) for line in file]


def write_result(attempt: Path, result: JobResult) -> None:
    """The last file of an attempt."""
    data = orjson.dumps(asdict(result), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2)
    write_atomically(attempt / RESULT, data)


def read_result(attempt: Path) -> JobResult:
    """Raises TrainingError where the attempt is not complete."""
    try:
        content = orjson.loads((attempt / RESULT).read_bytes())
        labels = {name: tuple(content[name]) for name in ("holdout_labels", "validation_labels")}
        return JobResult(**{**content, **labels})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{attempt / RESULT} is not a result: {error}") from error


def _row(event: StoredEvent) -> dict[str, Any]:
    return {**asdict(event), "key": event.key.hex()}


def _event(row: dict[str, Any]) -> StoredEvent:
    value = row["input"]
    tokens = value["tokens"]
    return StoredEvent(
        **{
            **row,
            "input": Input(value["text"], value["text_pair"], tuple(tokens) if tokens is not None else None),
            "key": bytes.fromhex(row["key"]),
            "split": Split(row["split"]),
            "label": _label(row["label"]),
        }
    )


def _label(value: Any) -> LabelValue | None:
    return tuple(value) if isinstance(value, list) else value


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _hashes(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): sha256(path) for path in sorted(root.rglob("*")) if path.is_file()}
