"""From a finished attempt to a verdict: reads the score arrays that the trainer left and asks the gate."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from daemon.config.task import Gate
from daemon.tasks.base import TaskSchema
from daemon.update.gate import judge
from daemon.update.job import JobResult, UpdateJob
from daemon.update.verdict import Verdict


def judge_attempt(attempt: Path, result: JobResult, job: UpdateJob, schema: TaskSchema, config: Gate) -> Verdict:
    """The verdict on ``attempt``; the same attempt always gets the same one (seeded by the job)."""
    scores = load_file(attempt / "scores.safetensors")
    return judge(
        scores["champion"],
        scores["candidate"],
        aggregate=schema.aggregate,
        direction=schema.metric.direction,
        row_labels=result.holdout_labels,
        old_labels=frozenset(job.labels[: job.old_labels]),
        config=config,
        seed=job.seed,
        validation=(scores["validation_champion"], scores["validation_candidate"]),
    )
