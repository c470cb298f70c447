"""All trials of a plan, and the table of what they found.

One history, played by all in the same order, on the same encoder, learning from the same train rows
(:mod:`daemon.bench.learning.history`). Each learner that trains tries the same learning rates first, on the first seed,
and keeps the one that is best at the end on the validation rows; what that cost is told, not counted. Without STREAM:
texts of our own, in waves of new classes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from daemon.bench.learning.child import measure
from daemon.bench.learning.figure import figure
from daemon.bench.learning.history import History, write_own
from daemon.bench.learning.kept import Kept
from daemon.bench.learning.plan import DEFAULT, EPOCHS, FAST, JOINT, PEERS, RATES, Plan, Trial
from daemon.bench.learning.table import interval, shots_rows, summary_row
from daemon.bench.result import document, shown
from daemon.errors import ConfigError

FEW = "few labels"
QUICK_PEERS = ("Replay",)
QUICK_CUT, QUICK_HELD, QUICK_EVERY = 80, 48, 10
"""Events and holdout rows that ``--quick`` takes of a stream, and events between two any-time points."""
NOTES = (
    "Values are means over the seeds, with 95% intervals of the mean (Student's t) where there are several.",
    "final, average incremental, forgetting, backward transfer: at group ends. any time: what is served, scored every "
    "100 events (--quick: 10) and at group ends on the classes seen so far, and (young) on those with at most 10 train "
    "events; who has no model in between answers with that of the last group's end, and before the first with nothing.",
    "cpu s: of ours all but scoring the holdout (storing, predicting each event, folding, each trainer process with "
    "its start); of the peers their training alone. peak mb: of the largest process, with all that it imports; with "
    "--quick all learners share one.",
    "The default recipe updates when its own trigger says so and passes its gate; our replay and the peers update at "
    "each group's end. Learning rates are those that were best on the validation rows at the first seed.",
    "Everybody reads packed batches (no padding), with the word embeddings frozen, the same optimiser, warm-up, decay "
    "and clipping, and learns from the rows that the daemon's own split leaves for training.",
)


def run(quick: bool, plan: Plan = Plan()) -> dict[str, Any]:  # noqa: B008 - immutable
    """``headline``: final value of the default recipe − that of joint training, in points, mean over the seeds."""
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        return Measured(plan, Path(directory), quick).document()


@dataclass(frozen=True, slots=True)
class Learner:
    """``first``: its trial on the first seed; ``rates``: those that are tried, none where nothing is trained."""

    first: Trial
    rates: Sequence[float]


class Measured:
    """``quick``: one seed, no choice of rates, few learners, few texts, one update at two thirds of them, one process.
    Raises ConfigError where there are no rows to choose rates by, and for ``keep`` with ``quick``."""

    def __init__(self, plan: Plan, directory: Path, quick: bool) -> None:
        if quick and plan.keep is not None:
            raise ConfigError("--keep and --quick do not go together: a quick run is one process and keeps nothing")
        self._plan, self._quick = plan, quick
        self._ask: Callable[..., Sequence[dict[str, Any]]] = measure if plan.keep is None else Kept(plan.keep)
        self._seeds = plan.seeds[:1] if quick else plan.seeds
        if plan.stream is None or plan.holdout is None:
            size = (6, 12, 8, 2) if quick else (20, 30, 20, 4)
            self._stream, self._holdout = write_own(directory, *size)
        elif quick:
            self._stream, self._holdout = _cut(plan.stream, plan.holdout, directory)
        else:
            self._stream, self._holdout = plan.stream, plan.holdout
        self._history = History.read(self._stream, self._holdout, plan.task)
        if not quick and not self._history.validation:
            raise ConfigError(
                f"{self._stream}: none of its {len(self._history.lines)} events is kept for validation or gate, so no "
                "learning rate can be chosen: more events, larger split.validation_ratio, or --quick"
            )
        self._runs: dict[str, list[Mapping[str, Any]]] = {}
        self._rates: dict[str, float] = {}
        self._few: list[Sequence[Mapping[str, Any]]] = []
        self._choosing_cpu_s = 0.0

    def document(self) -> dict[str, Any]:
        """Run everything; the document of the bench, and the figure where one is wanted."""
        learners = self._learners()
        self._choose(learners)
        self._measure(learners)
        if self._plan.svg is not None:
            title = f"Accuracy over the stream: {self._history.task}"
            self._plan.svg.write_text(figure(title, self._history.ends, self._curves()), encoding="utf-8")
        points = [100 * (o["final"] - j["final"]) for o, j in zip(self._runs[DEFAULT], self._runs[JOINT], strict=True)]
        mean, half = interval(points)
        return document(
            round(mean, 2),
            "points of final accuracy, default recipe − joint training"
            + ("" if half is None else f" (± {half:.2f}, paired by seed)"),
            [summary_row(name, runs, self._rates.get(name)) for name, runs in self._runs.items()],
            packages=("torch", "transformers", "avalanche-lib"),
            tables={"Few labels: accuracy by texts a class, encoder frozen": shots_rows(self._few)},
            notes=NOTES,
            details={"runs": self._runs, "learning_rates": self._rates},
            stream=self._stream.name if self._plan.stream else "texts of our own",
            events=len(self._history.lines),
            train_rows=len(self._history.train),
            holdout_rows=len(self._history.holdout),
            groups=len(self._history.groups),
            classes=len(self._history.labels),
            seeds=list(self._seeds),
            epochs_of_peers=EPOCHS,
            memory_per_class=Trial("joint", "", "", "").memory_per_class,
            rates_tried=[] if self._quick else list(RATES),
            cpu_s_choosing_rates=round(self._choosing_cpu_s),
            threads=1,
        )

    def _learners(self) -> Mapping[str, Learner]:
        base = Trial("ours", "", str(self._stream), str(self._holdout), self._seeds[0], task=self._plan.task)
        if self._quick:
            once = {"min_events": max(1, 2 * len(self._history.train) // 3), "first_ratio": 1}
            task = {**base.task, "trigger": {**base.task.get("trigger", {}), **once}}
            base = replace(base, task=task, evaluate_every=QUICK_EVERY)
        names = [name for name in self._plan.ours if not self._quick or name in (FAST, DEFAULT, *self._plan.recipes)]
        made = {}
        for name in names:
            recipe = self._plan.ours[name]
            trial = replace(base, name=name, recipe=asdict(recipe))
            made[name] = Learner(trial, RATES if recipe.trains else ())
        for name in QUICK_PEERS if self._quick else PEERS:
            made[f"Avalanche {name}"] = Learner(replace(base, kind="avalanche", name=name), RATES)
        made[JOINT] = Learner(replace(base, kind="joint", name=JOINT), RATES)
        return made

    def _choose(self, learners: Mapping[str, Learner]) -> None:
        """The learning rate of each, by its final value on the validation rows."""
        if self._quick:
            return
        tried: dict[str, list[tuple[float, float]]] = {}
        for name, rate in shown([(n, r) for n, learner in learners.items() for r in learner.rates], "choosing rates"):
            (found,) = self._ask(replace(learners[name].first, rate=rate, on="validation"))
            self._choosing_cpu_s += found["cpu_s"]
            tried.setdefault(name, []).append((found["final"], -rate))
        self._rates = {name: -max(values)[1] for name, values in tried.items()}

    def _measure(self, learners: Mapping[str, Learner]) -> None:
        """Every learner on every seed, and the few labels."""
        few = Trial("shots", FEW, str(self._stream), str(self._holdout), task=self._plan.task)
        named = {**{name: learner.first for name, learner in learners.items()}, FEW: few}
        trials = [
            (name, replace(trial, seed=seed, rate=self._rates.get(name)))
            for seed in self._seeds
            for name, trial in named.items()
        ]
        told = self._ask(*(trial for _, trial in trials)) if self._quick else ()
        found = told or (self._ask(trial)[0] for _, trial in shown(trials, "measuring"))
        for (name, _), result in zip(trials, found, strict=True):
            self._runs.setdefault(name, []).append(result)
        self._few = [result["rows"] for result in self._runs.pop(FEW)]

    def _curves(self) -> Mapping[str, Sequence[tuple[int, float]]]:
        """(events played, any-time value) of the first seed; joint training has its one value all along."""
        last = len(self._history.lines)
        made = {}
        for name, (first, *_) in self._runs.items():
            points = (
                first["any_time"]["curve"] if "any_time" in first else [(0, first["final"]), (last, first["final"])]
            )
            made[name] = [(point[0], point[1]) for point in points]
        return made


def _cut(stream: Path, holdout: Path, directory: Path) -> tuple[Path, Path]:
    """The first two groups of a stream, thinned evenly to a few rows."""
    lines = [line for line in stream.read_bytes().splitlines() if line.strip()]
    groups = list(dict.fromkeys(orjson.loads(line).get("group") for line in lines))[:2]
    paths = directory / "stream.jsonl", directory / "holdout.jsonl"
    for path, source, size in zip(paths, (stream, holdout), (QUICK_CUT, QUICK_HELD), strict=True):
        kept = [line for line in source.read_bytes().splitlines() if line.strip()]
        kept = [line for line in kept if orjson.loads(line).get("group") in groups]
        path.write_bytes(b"\n".join(kept[:: max(1, len(kept) // size)]) + b"\n")
    return paths
