"""Joint training, the upper bound: all train rows at once, by an update's own loop; its fine-tuned head answers."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from daemon.bench.learning.classifier import CPU, encode, training
from daemon.bench.learning.history import History
from daemon.bench.learning.plan import Trial
from daemon.clock import SystemClock
from daemon.config.task import Model
from daemon.config.tune import FullTune
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tuned import TunedModel
from daemon.models.tuning import apply_tuning
from daemon.tasks import get_task
from daemon.training.answers import run_heads
from daemon.training.context import LoopContext
from daemon.training.loop import Loop, steps_in
from daemon.training.progress import Progress


def run(trial: Trial, history: History) -> dict[str, Any]:
    """One training; scored once, at its end."""
    task, settings = get_task("sequence"), training(trial)
    encoder = Encoder.load(resolve_base(Model.model_validate(trial.task.get("model", {}))), CPU)
    head = task.build_head(encoder.hidden_size, history.labels, None, trial.seed)
    model = TunedModel(encoder, head, history.labels, task)
    apply_tuning(encoder, FullTune(), trial.seed)
    new = encode(trial, history, history.train)
    context = LoopContext(
        model,
        task,
        new=new,
        pool=(),
        old_classes=0,
        seed=trial.seed,
        batch_size=settings.batch_size,
        total_steps=steps_in(len(new), settings),
        parent=lambda: model,
    )
    scored = encode(trial, history, history.scored(trial.on))
    with (
        tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory,
        Progress(Path(directory) / "progress.jsonl", SystemClock()) as progress,
    ):
        began = time.process_time()
        trained = Loop(context, (), settings, progress).run(())
        cpu_s = time.process_time() - began
        answers = run_heads(model.eval(), task, scored, 0, progress).tuned
    units = task.unit_scores(answers, [example.target for example in scored])
    return {"final": task.aggregate(units), "cpu_s": cpu_s, "trained_samples": trained.samples, "updates": 1}
