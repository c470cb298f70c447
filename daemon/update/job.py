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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class UpdateJob:
    """The manifest. ``labels``: the class list the candidate will have (the parent's first, in order);
    ``old_labels``: how many of them the parent had; ``config`` is ``TaskConfig.model_dump(mode="json")``;
    ``cursor``: the last change covered."""

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


@dataclass(frozen=True, slots=True)
class JobResult:
    """What an attempt says at its end.

    ``holdout_labels``: the true class (or "") of each holdout row, in order; ``blend``: the weight of the
    tuned head found on validation; ``metrics``: losses, values on validation and holdout, seconds per
    phase, ``trained_samples``, ``cpu_s``, ``peak_rss_bytes``.
    """

    job: str
    attempt: int
    metric: str
    blend: float
    holdout_labels: tuple[str, ...]
    metrics: Mapping[str, Any]
