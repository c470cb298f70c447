"""Follows the alias ``champion`` and the fast weights, and flips the predictor's reference.

Guarantees:

1. The next version is loaded beside the one that answers, verified and warmed, and then referenced.
2. One that does not load changes nothing: the old one answers on, the failure is logged and counted,
   and it is tried again after a growing pause, or at once when the alias names another.
3. ``labels_seen`` of a version's answers never goes back, even while a restarted learner catches up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import torch

from daemon.clock import Clock, SystemClock
from daemon.heads import store as head_store
from daemon.heads.ports import FastWeights
from daemon.observe import NullObserver, Observer
from daemon.registry.version import Registry, Version
from daemon.serving.loading import load_served
from daemon.serving.predictor import Predictor
from daemon.serving.served import ServedModel

log = structlog.get_logger(__name__)

Loader = Callable[[Version, Path | None, torch.device], ServedModel]
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
KEPT = 2


@dataclass(slots=True)
class _Failure:
    """``champion`` None: the alias could not be read. ``soon``: when it may be tried again if the weights
    have changed since; ``again``: if they have not."""

    champion: str | None
    stamp: object | None
    times: int
    soon: float
    again: float


@dataclass(slots=True)
class _Task:
    """``stamp``: of the weights last looked at; ``best``: version -> the newest weights that answered, of the
    last two versions."""

    served: ServedModel | None = None
    stamp: object | None = None
    failure: _Failure | None = None
    best: dict[str, tuple[FastWeights, float]] = field(default_factory=dict)


class Watcher:
    """A thread that looks every ``poll_s`` seconds; :meth:`look` does it once.

    ``heads_root`` holds ``TASK/VERSION/``. ``fast``: the tasks whose fast head answers (default: all).
    """

    def __init__(
        self,
        registry: Registry,
        heads_root: Path,
        predictor: Predictor,
        tasks: Collection[str],
        device: torch.device,
        observer: Observer | None = None,
        poll_s: float = 0.05,
        *,
        fast: Collection[str] | None = None,
        clock: Clock | None = None,
        load: Loader = load_served,
    ) -> None:
        self._registry = registry
        self._heads_root = heads_root
        self._predictor = predictor
        self._fast = frozenset(tasks if fast is None else fast)
        self._device = device
        self._observer = observer or NullObserver()
        self._poll_s = poll_s
        self._clock = clock or SystemClock()
        self._load = load
        self._tasks = {task: _Task() for task in tasks}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop looking; what answers goes on answering."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def ready(self, task: str) -> bool:
        """Whether a version of ``task`` answers."""
        return self._predictor.ready(task)

    def all_ready(self) -> bool:
        return all(self.ready(task) for task in self._tasks)

    def look(self) -> int:
        """Look once at every task; returns how many references were flipped. Raises nothing."""
        return sum(self._look(task, known) for task, known in self._tasks.items())

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._poll_s)

    def _look(self, task: str, known: _Task) -> bool:
        champion, stamp = None, None
        if self._pausing(known.failure, None, None):
            return False
        try:
            champion = self._registry.alias(task, "champion")
            if champion is None:
                return False
            directory = self._heads_root / task / champion if task in self._fast else None
            stamp = None if directory is None else head_store.weights_stamp(directory)
            if self._pausing(known.failure, champion, stamp):
                return False
            if known.served is None or known.served.version_id != champion:
                self._flip_version(task, known, champion, directory)
            elif directory is None or stamp is None or stamp == known.stamp:
                return False
            elif not self._flip_weights(task, known, directory):
                known.stamp = stamp
                return False
            known.stamp, known.failure = stamp, None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a version, the old one answers on
            self._failed(task, known, champion, stamp, error)
            return False
        return True

    def _flip_version(self, task: str, known: _Task, champion: str, directory: Path | None) -> None:
        served = self._load(self._registry.load(champion), directory, self._device)
        best = known.best.get(champion)
        if best is not None and served.labels_seen < best[0].cursor:
            served = served.with_weights(*best)
        before = known.served
        self._flip(task, known, served)
        if before is not None:
            self._observer.count("swaps_total", task=task)
        log.info("swapped", task=task, version=champion, labels_seen=served.labels_seen)

    def _flip_weights(self, task: str, known: _Task, directory: Path) -> bool:
        assert known.served is not None
        weights, blend = head_store.load_weights(directory)
        if weights.cursor < known.served.labels_seen:
            return False
        self._flip(task, known, known.served.with_weights(weights, blend))
        return True

    def _flip(self, task: str, known: _Task, served: ServedModel) -> None:
        self._predictor.swap(task, served)
        known.served = served
        if served.weights is not None:
            known.best.pop(served.version_id, None)
            known.best[served.version_id] = (served.weights, served.blend)
            while len(known.best) > KEPT:
                del known.best[next(iter(known.best))]

    def _pausing(self, failure: _Failure | None, champion: str | None, stamp: object | None) -> bool:
        if failure is None or failure.champion != champion:
            return False
        return self._clock.monotonic() < (failure.again if failure.stamp == stamp else failure.soon)

    def _failed(self, task: str, known: _Task, champion: str | None, stamp: object | None, error: Exception) -> None:
        serving = known.served.version_id if known.served is not None else None
        last, now = known.failure, self._clock.monotonic()
        times = last.times + 1 if last is not None and (last.champion, last.stamp) == (champion, stamp) else 1
        # An alias that cannot be read is read again soon: nothing else tells of the next version.
        pause = FIRST_PAUSE_S if champion is None else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (times - 1))
        # Other weights are tried at once, another attempt at loading a whole version is not.
        soon = now if serving == champion else now + FIRST_PAUSE_S
        known.failure = _Failure(champion, stamp, times, soon, now + pause)
        log.error("swap_failed", task=task, wanted=champion, serving=serving, again_in_s=pause, error=str(error))
        self._observer.count("swap_failures_total", task=task)
