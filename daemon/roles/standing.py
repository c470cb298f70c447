"""Where a task stands, told by its history alone, so that a restart changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daemon.registry.version import Registry
from daemon.update.eligible import Window

GATE = "gate"
"""Who promotes candidates."""


@dataclass(frozen=True, slots=True)
class Standing:
    """``covered``: the last change that a finished job has seen; ``rejections``: in a row; ``held``: nothing is
    promoted by itself; ``paused``: nothing is trained; ``finished``: wall-clock time of the last finished job, or of
    the gate's later promotion of its candidate, None before the first; ``windows``: labels that rollbacks left out;
    ``joint``: train events stored at the last joint training that was judged."""

    covered: int = 0
    rejections: int = 0
    held: bool = False
    paused: bool = False
    finished: float | None = None
    failures: int = 0
    windows: tuple[Window, ...] = ()
    joint: int = 0


def standing(registry: Registry, task: str) -> Standing:
    """Read the history of ``task`` from its start."""
    covered, rejections, failures, held, paused, finished = 0, 0, 0, False, False, None
    windows: tuple[Window, ...] = ()
    joint = 0
    for entry in registry.history(task):
        match entry.kind:
            case "verdict":
                covered = int(entry.details["cursor"])
                rejections = 0 if entry.details["promote"] or entry.details["promoted"] else rejections + 1
                joint = int(entry.details.get("joint", 0)) or joint
                finished, failures = entry.time, 0
            case "job_failed":
                covered = int(entry.details["cursor"])
                finished, failures = entry.time, failures + 1
            case "promoted":
                held = bool(entry.details.get("hold", False))
                if entry.who == GATE:
                    rejections, finished = 0, entry.time
                if entry.details.get("with_labels", False):
                    windows = tuple(replace(window, active=False) for window in windows)
            case "rolled_back":
                held = True
                since = entry.details.get("without_labels_since")
                if since is not None:
                    windows = (*windows, Window(float(since), entry.time))
            case "paused":
                paused = True
            case "resumed":
                paused = False
            case _:
                pass
    return Standing(covered, rejections, held, paused, finished, failures, windows, joint)


def releases(registry: Registry, task: str) -> Sequence[Sequence[str]]:
    """The ids of the events of every release of labels that were held back, oldest first."""
    return [entry.details["ids"] for entry in registry.history(task) if entry.kind == "labels_released"]
