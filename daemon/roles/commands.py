"""What people ask of the learner: each command is one function over the registry.

The learner executes them in order while it runs; with no daemon running the command line takes the
learner's lock and executes the same functions. A promoted or rolled-back alias is all there is to it:
learner and predictors follow the alias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daemon.clock import Clock
from daemon.errors import CommandRefused
from daemon.registry.version import Registry

Outcome = Mapping[str, Any]

MOST_RELEASED = 1000
"""Ids of one command: they stand in the history."""


def promote(registry: Registry, clock: Clock, task: str, args: Mapping[str, Any], who: str, why: str) -> Outcome:
    """Serve ``args["version"]`` whatever the gate said; ``args["hold"]`` keeps it until the next promotion;
    ``args["with_labels"]`` takes in again what rollbacks left out.

    Of the version that is served already it begins or ends a hold.
    """
    version = registry.load(str(args["version"]))
    if version.meta.task != task:
        raise CommandRefused(
            f"version {version.id} belongs to task {version.meta.task!r}, not {task!r}: name one of `versions list`"
        )
    hold = bool(args.get("hold", False))
    details = {"hold": hold, "forced": True, "with_labels": bool(args.get("with_labels", False))}
    registry.promote(task, version.id, who=who, why=why, time=clock.now(), details=details)
    return {"task": task, "champion": version.id, "held": hold}


def rollback(registry: Registry, clock: Clock, task: str, args: Mapping[str, Any], who: str, why: str) -> Outcome:
    """Serve the previous champion with its last HeadState; nothing is promoted by itself until someone promotes.

    ``args["without_labels_since"]`` (seconds since the epoch): labels that became known from then until now
    are left out of what is served and of later updates, until a promotion takes them in again.
    """
    now, since = clock.now(), args.get("without_labels_since")
    if since is not None and not since < now:
        raise CommandRefused(f"without_labels_since {since}: must lie before now ({now:.0f})")
    details = {} if since is None else {"without_labels_since": float(since)}
    champion = registry.rollback(task, who=who, why=why, time=now, details=details)
    return {"task": task, "champion": champion, "held": True, **details}


def pause(registry: Registry, clock: Clock, task: str, args: Mapping[str, Any], who: str, why: str) -> Outcome:
    """Start no update by itself; labels are folded all the same."""
    registry.record("paused", task, None, who=who, why=why, time=clock.now())
    return {"task": task, "paused": True}


def resume(registry: Registry, clock: Clock, task: str, args: Mapping[str, Any], who: str, why: str) -> Outcome:
    registry.record("resumed", task, None, who=who, why=why, time=clock.now())
    return {"task": task, "paused": False}


def release(registry: Registry, clock: Clock, task: str, args: Mapping[str, Any], who: str, why: str) -> Outcome:
    """Let labels that are held back count again: those of the events ``args["ids"]``. The learner lets them in."""
    ids = [str(event_id) for event_id in args["ids"]]
    if not 0 < len(ids) <= MOST_RELEASED:
        raise CommandRefused(f"release: {len(ids)} ids; from 1 to {MOST_RELEASED} at once")
    registry.record("labels_released", task, None, who=who, why=why, time=clock.now(), details={"ids": ids})
    return {"task": task, "released": len(ids)}


COMMANDS: Mapping[str, Callable[[Registry, Clock, str, Mapping[str, Any], str, str], Outcome]] = {
    "promote": promote,
    "rollback": rollback,
    "pause": pause,
    "resume": resume,
    "release": release,
}
"""Commands that need nothing but the registry. ``train_now`` is the learner's own."""
