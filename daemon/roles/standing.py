"""Where a task stands, told by its history alone, so that a restart changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.registry.version import Registry


@dataclass(frozen=True, slots=True)
class Standing:
    """``covered``: the last change that a finished job has seen; ``rejections``: in a row; ``held``:
    nothing is promoted by itself; ``paused``: nothing is trained; ``finished``: wall-clock time of the
    last finished job, None before the first."""

    covered: int = 0
    rejections: int = 0
    held: bool = False
    paused: bool = False
    finished: float | None = None
    failures: int = 0


def standing(registry: Registry, task: str) -> Standing:
    """Read the history of ``task`` from its start."""
    covered, rejections, failures, held, paused, finished = 0, 0, 0, False, False, None
    for entry in registry.history(task):
        match entry.kind:
            case "verdict":
                covered = int(entry.details["cursor"])
                rejections = 0 if entry.details["promote"] or entry.details["promoted"] else rejections + 1
                finished, failures = entry.time, 0
            case "job_failed":
                covered = int(entry.details["cursor"])
                finished, failures = entry.time, failures + 1
            case "promoted":
                held = bool(entry.details.get("hold", False))
            case "rolled_back":
                held = True
            case "paused":
                paused = True
            case "resumed":
                paused = False
            case _:
                pass
    return Standing(covered, rejections, held, paused, finished, failures)
