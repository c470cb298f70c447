"""From a finished attempt to a verdict: reads the score arrays that the trainer left and asks the gate."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from daemon.config.task import Gate
from daemon.tasks.base import TaskSchema
from daemon.update.gate import judge
from daemon.update.job import UpdateJob, read_result
from daemon.update.pair import Pair
from daemon.update.verdict import Verdict


def judge_attempt(
    attempt: Path, job: UpdateJob, schema: TaskSchema, config: Gate, since: Pair | None = None
) -> Verdict:
    """The verdict on ``attempt``; the same attempt always gets the same one (seeded by the job).

    ``since``: labels that have come since and that both foretold: further rows kept from training. Who is judged again
    and again is asked for ``gate.gain_confidence``.
    """
    scores, result = load_file(attempt / "scores.safetensors"), read_result(attempt)
    kept = Pair(scores["validation_champion"], scores["validation_candidate"], result.validation_labels)
    return judge(
        Pair(scores["champion"], scores["candidate"], result.holdout_labels),
        kept if since is None else kept + since,
        aggregate=schema.aggregate,
        direction=schema.metric.direction,
        old_labels=frozenset(job.labels[: job.old_labels]),
        grown=since is not None or job.old_labels < len(job.labels),
        config=config,
        seed=job.seed,
    )
