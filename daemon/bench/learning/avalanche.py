"""Avalanche's own strategies on the same texts and the same encoder: one experience a group, no task label at test.

Only their learning is counted: CPU seconds of ``train``, texts forwarded in it. Options are those of the papers and of
Avalanche's own examples; EWC keeps one running importance, which costs it less than its default.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from daemon.bench.learning.classifier import CPU, Classifier, classifier, encode, judge, table, training
from daemon.bench.learning.history import History
from daemon.bench.learning.plan import Trial
from daemon.bench.learning.scores import scores
from daemon.config.task import Training
from daemon.training.optimiser import make_optimiser, rate
from strategies.base import Example

EWC_STRENGTH = 100.0
"""Avalanche squares the gradient of a batch's mean, so its strength depends on the batch size."""
LWF_ALPHA, LWF_TEMPERATURE = 1.0, 2.0
DER_ALPHA, DER_BETA = 0.1, 0.5
"""With a positive beta it is DER++."""


def run(trial: Trial, history: History) -> dict[str, Any]:
    """Learn group after group; scored after each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own deprecations at every experience
        return _learn(trial, history)


def _learn(trial: Trial, history: History) -> dict[str, Any]:
    scored = history.scored(trial.on)
    examples = encode(trial, history, scored)
    model = classifier(trial, len(history.labels))
    torch.manual_seed(trial.seed)
    strategy = _strategy(trial, history, model)
    arriving = [encode(trial, history, history.arriving(number)) for number in range(len(history.groups))]
    experiences = iter(_experiences([new for new in arriving if new]))
    right, seen, cpu_s = [], set[int](), 0.0
    for new in arriving:
        if new:
            experience = next(experiences)
            began = time.process_time()
            strategy.train(experience, num_workers=0)
            cpu_s += time.process_time() - began
            seen.update(example.target for example in new)
        right.append(judge(model, examples, sorted(seen)))
    measured = scores(history, scored, right, trial.evaluate_every)
    return {**measured, "cpu_s": cpu_s, "trained_samples": model.trained, "updates": len(history.groups)}


def _experiences(arriving: Sequence[Sequence[Example]]) -> Sequence[Any]:
    """Experiences of one stream, all of one task; rows are (token ids, class)."""
    from avalanche.benchmarks.scenarios.dataset_scenario import benchmark_from_datasets
    from avalanche.benchmarks.scenarios.task_aware import with_task_labels
    from avalanche.benchmarks.utils import DataAttribute, TaskAwareSupervisedClassificationDataset

    rows = iter(table([example for new in arriving for example in new]))
    sets = []
    for new in arriving:
        targets = [example.target for example in new]
        pairs = [(next(rows), target) for target in targets]
        said = [
            DataAttribute(targets, "targets"),
            DataAttribute([0] * len(new), "targets_task_labels", use_in_getitem=True),
        ]
        sets.append(TaskAwareSupervisedClassificationDataset([pairs], data_attributes=said))
    return list(with_task_labels(benchmark_from_datasets(train=sets)).streams["train"])


def _strategy(trial: Trial, history: History, model: Classifier) -> Any:
    from avalanche.training.plugins import EvaluationPlugin

    settings = training(trial)
    common = {
        "model": model,
        "optimizer": make_optimiser(model.named_parameters(), settings),
        "criterion": torch.nn.CrossEntropyLoss(),
        "train_mb_size": settings.batch_size,
        "train_epochs": settings.epochs,
        "eval_mb_size": settings.batch_size,
        "device": CPU,
        "evaluator": EvaluationPlugin(),
        "plugins": [_pace(settings)],
    }
    return STRATEGIES[trial.name](common, trial.memory_per_class * len(history.labels))


def _naive(common: Mapping[str, Any], memory: int) -> Any:
    from avalanche.training.supervised import Naive

    return Naive(**common)


def _replay(common: Mapping[str, Any], memory: int) -> Any:
    from avalanche.training.supervised import Replay

    return Replay(**common, mem_size=memory)


def _ewc(common: Mapping[str, Any], memory: int) -> Any:
    from avalanche.training.supervised import EWC

    return EWC(**common, ewc_lambda=EWC_STRENGTH, mode="online", decay_factor=1.0)


def _lwf(common: Mapping[str, Any], memory: int) -> Any:
    from avalanche.training.supervised import LwF

    return LwF(**common, alpha=LWF_ALPHA, temperature=LWF_TEMPERATURE)


def _der(common: Mapping[str, Any], memory: int) -> Any:
    from avalanche.training.supervised.der import DER

    return DER(**common, mem_size=memory, alpha=DER_ALPHA, beta=DER_BETA)


STRATEGIES: Mapping[str, Callable[[Mapping[str, Any], int], Any]] = {
    "Naive": _naive,
    "Replay": _replay,
    "EWC": _ewc,
    "LwF": _lwf,
    "DER": _der,
}


def _pace(settings: Training) -> Any:
    """Warm-up, decay and clipping as our loop has them, in each experience anew."""
    from avalanche.core import SupervisedPlugin

    class Pace(SupervisedPlugin):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._peaks: Sequence[float] = ()
            self._step = self._steps = 0

        def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
            self._step = self._steps = 0

        def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
            groups = strategy.optimizer.param_groups
            if not self._peaks:
                self._peaks = [group["lr"] for group in groups]
            if not self._steps:  # a strategy may have laid its own loader
                self._steps = len(strategy.dataloader) * strategy.train_epochs
            for group, peak in zip(groups, self._peaks, strict=True):
                group["lr"] = peak * rate(self._step, self._steps, settings.warmup_ratio)
            self._step += 1

        def before_update(self, strategy: Any, **kwargs: Any) -> None:
            clip_grad_norm_(strategy.model.parameters(), settings.max_grad_norm)

    return Pace()
