"""One attempt at a job, phase by phase: load, grow, train, refit, score, save.

Guarantees:

1. The job is only read; everything written is under OUT, and ``result.json`` comes last.
2. The same job on the same machine, versions and threads gives the same bits: one seed, the job's,
   decides head rows, adapters, orders, draws and dropout; algorithms are deterministic.
3. Champion and candidate are scored on the same rows as they would be served: tuned head and fast head,
   blended.
"""

from __future__ import annotations

import os
import random
import resource
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from daemon.clock import Clock
from daemon.config.head import NoHead
from daemon.config.task import TaskConfig
from daemon.errors import TrainingError
from daemon.events import StoredEvent
from daemon.heads.store import save_state, save_weights
from daemon.models.tokens import Tokenizer
from daemon.models.tuned import TunedModel, save_tuned
from daemon.registry.lineage import write_lineage
from daemon.tasks import get_task
from daemon.tasks.base import Floats, Task
from daemon.tasks.labels import is_class
from daemon.training.answers import load_fast
from daemon.training.backtracking import backtrack
from daemon.training.candidate import Parent, continues, make_candidate, read_meta, starts_from
from daemon.training.contest import Contestant
from daemon.training.context import LoopContext
from daemon.training.loop import Loop, steps_in
from daemon.training.progress import Progress
from daemon.training.refit import refit, young_classes
from daemon.training.rows import RowEncoder
from daemon.training.score import save_scores
from daemon.training.sharing import share_prefix
from daemon.training.strategy_state import make_strategies, save_strategies
from daemon.update.job import ROWS, JobResult, UpdateJob, read_job, read_rows, write_result
from daemon.update.pair import Pair, Scale
from strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class _End:
    """A candidate so far (``ratio``) on its way, and its ``scores`` on the validation rows."""

    ratio: float
    candidate: Contestant
    scores: Floats


class Attempt:
    """``directory``: the frozen job; ``out``: this attempt's own, empty directory."""

    def __init__(self, directory: Path, out: Path, clock: Clock) -> None:
        """Verifies the job's hashes. Raises TrainingError."""
        self._directory = directory
        self._out = out
        self._clock = clock
        self._job: UpdateJob = read_job(directory)
        self._config = TaskConfig.model_validate(self._job.config)
        self._rows = {name: read_rows(directory, name) for name in ROWS}
        self._counts = partial(is_class, cfg=self._config.labels)

    def run(self) -> JobResult:
        """Raises TrainingError (NonFiniteLoss ...), ConfigError, VersionError, MemoryError."""
        started = self._clock.monotonic()
        job, config = self._job, self._config
        seed_everything(job.seed, config.training.threads)
        if not self._rows["new"]:
            raise TrainingError(f"job {job.id}: new.jsonl is empty; there is nothing to train on")
        self._out.mkdir(parents=True, exist_ok=True)
        version = self._out / "version"
        with Progress(self._out / "progress.jsonl", self._clock) as progress:
            with progress.phase("load"):
                parent = self._parent()
                origin = replace(parent, anew=bool(job.joint))
                task = get_task(parent.meta.task_type)
                tokenizer = Tokenizer.load(parent.path / "tokenizer")
                encoder = RowEncoder(task, tokenizer, config.model.max_tokens)
                champion = parent.load()
            with progress.phase("grow"):
                model = make_candidate(origin, config, job.labels, job.seed)
                strategies = make_strategies(config, origin)
                share_prefix(model.encoder, champion.encoder, config)
            if not isinstance(config.head, NoHead):
                model.young = young_classes(model.labels, self._rows["refit"], config.head.refit_max_events)
            with progress.phase("train"):
                loop = self._loop(model, origin, list(strategies.values()), encoder, progress)
                trained = loop.run(encoder.encode(self._rows["validation"], job.labels))
            with progress.phase("champion", len(self._rows["holdout"]) + len(self._rows["validation"])):
                before = Contestant(champion, *load_fast(self._directory / "fast"), self._counts)
                scores = {  # as it is served, before rows leave it
                    f"{split}_champion": before.answer(self._rows[split], encoder, progress)
                    for split in ("holdout", "validation")
                }
            end = self._settle(origin, model, loop, encoder, scores["validation_champion"], progress)
            after, state = end.candidate, end.candidate.state
            scores["validation_candidate"] = end.scores
            with progress.phase("score", len(self._rows["holdout"])):
                scores["holdout_candidate"] = after.answer(self._rows["holdout"], encoder, progress)
            with progress.phase("save"):
                loop.consolidate()
                save_tuned(model, config.tune, version)
                save_strategies(strategies, version)
                taught = {event.id for name in ("new", "pool", "refit") for event in self._rows[name]}
                write_lineage(version, None if origin.anew else parent.path, taught)
                fast = after.fast
                if state is not None and fast is not None:
                    save_state(version / "fast", state)
                    save_weights(version / "fast", fast.weights, fast.blend)
                save_scores(
                    self._out / "scores.safetensors",
                    {name.removeprefix("holdout_"): units for name, units in scores.items()},
                )
            result = JobResult(
                job=job.id,
                attempt=_number(self._out),
                metric=task.metric.name,
                blend=1.0 if fast is None else fast.blend,
                holdout_labels=tuple(_class(event) for event in self._rows["holdout"]),
                validation_labels=tuple(_class(event) for event in self._rows["validation"]),
                metrics={
                    **trained.metrics(),
                    "wise_ft_ratio": end.ratio,
                    **_values(task, scores),
                    "seconds": dict(progress.seconds),
                    "cpu_seconds": dict(progress.cpu_seconds),
                    "metric": task.metric.name,
                    "rows_per_class": {name: _per_class(self._rows[name]) for name in ROWS if name != "refit"},
                    "wall_s": self._clock.monotonic() - started,
                    "cpu_s": time.process_time(),
                    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                },
            )
        write_result(self._out, result)
        return result

    def _parent(self) -> Parent:
        path = self._directory / "parent"
        return Parent(path, read_meta(path), _device(self._config.training.device))

    def _loop(
        self, model: TunedModel, parent: Parent, strategies: Sequence[Strategy], encoder: RowEncoder, progress: Progress
    ) -> Loop:
        training = self._config.training
        new = encoder.encode(self._rows["new"], self._job.labels)
        context = LoopContext(
            model,
            model.task,
            new=new,
            pool=encoder.encode(self._rows["pool"], self._job.labels),
            old_classes=0 if parent.anew else self._job.old_labels,
            seed=self._job.seed,
            batch_size=training.batch_size,
            total_steps=steps_in(len(new), training),
            parent=parent.load,
        )
        return Loop(context, strategies, training, progress)

    def _settle(
        self, parent: Parent, model: TunedModel, loop: Loop, encoder: RowEncoder, champion: Floats, progress: Progress
    ) -> _End:
        """Where between the parent's weights and the trained ones the candidate stays. ``champion``: its scores on
        the validation rows."""
        job, config, kept = self._job, self._config, self._rows["validation"]
        scale = Scale(model.task.aggregate, model.task.metric.direction, config.gate.resamples)
        labels = [_class(event) for event in kept]

        def go(ratio: float) -> _End:
            loop.go(ratio)
            with progress.phase("refit", len(self._rows["refit"])):
                state = refit(model, model.task, config, self._rows["refit"], encoder, job.cursor, progress)
            with progress.phase("score", len(kept)):
                candidate = Contestant(model, state, None, self._counts)
                return _End(ratio, candidate, candidate.answer(kept, encoder, progress))

        tune, most = config.tune.model_dump(mode="json"), config.gate.max_negative_flip_ratio
        ratio = config.training.wise_ft_ratio if continues(parent, tune) else 1.0
        bounded = most < 1 and len(self._rows["holdout"]) >= config.gate.min_rows
        if not bounded or not kept or not starts_from(parent, tune):
            return go(ratio)
        return backtrack(ratio, go, lambda end: scale.worse(Pair(champion, end.scores, labels)), most)


def seed_everything(seed: int, threads: int) -> None:
    """One seed for every source of randomness, ``threads`` CPU threads, deterministic algorithms only."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _values(task: Task, scores: Mapping[str, Floats]) -> dict[str, float]:
    """The metric of both models on both splits, where there are rows."""
    return {name: task.aggregate(units) for name, units in scores.items() if len(units)}


def _per_class(events: Sequence[StoredEvent]) -> dict[str, int]:
    """Rows by class, in the order of first sight."""
    return dict(Counter(_class(event) for event in events))


def _class(event: StoredEvent) -> str:
    return event.label if isinstance(event.label, str) else ""


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def _number(out: Path) -> int:
    """N of ``attempt-N``; 1 for a directory of another name."""
    last = out.name.rpartition("-")[2]
    return int(last) if last.isdigit() else 1
