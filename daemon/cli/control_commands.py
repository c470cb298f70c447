"""Commands for the learner: train-now, promote, rollback, pause, resume.

With a daemon running they go through ``control`` and wait for the outcome; without one the same code
runs here under the learner's lock.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import Options, common, one_task, task_option

if TYPE_CHECKING:
    from daemon.app import Rooms

WAIT_S = 60.0


def why_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--why", default="", metavar="TEXT", help="Stands in the history.")(command)


def carry_out(rooms: Rooms, kind: str, task: str, args: Mapping[str, Any], why: str) -> Mapping[str, Any]:
    """Ask the running learner, or be it. Raises CommandRefused with the learner's reason."""
    from daemon.errors import CommandRefused, LockHeld
    from daemon.roles.commands import COMMANDS
    from daemon.roles.control import Control
    from daemon.roles.lock import RoleLock

    who = f"cli:{getpass.getuser()}"
    try:
        lock = RoleLock(rooms.paths.root, "learn").acquire()
    except LockHeld:
        control = Control(rooms.paths.control)
        outcome = control.wait(control.submit(kind, task, args, who, why), WAIT_S)
        if not outcome.ok:
            raise CommandRefused(str(outcome.details.get("error", "refused"))) from None
        return outcome.details
    with lock:
        if kind == "train_now":
            return _train_here(rooms, task, why)
        rooms.registry.settle(task)
        return COMMANDS[kind](rooms.registry, rooms.clock, task, args, who, why)


def _train_here(rooms: Rooms, task: str, why: str) -> Mapping[str, Any]:
    import time

    import torch

    from daemon.app import make_learner

    torch.set_num_threads(rooms.config.learn.threads)
    learner = make_learner(rooms, task, torch.device("cpu"), sink=rooms.ends.sink())
    while learner.fast.fold(rooms.config.learn.fold_batch):
        pass
    learner.ask(why or "asked")
    while learner.step() or learner.updating:
        time.sleep(0.02 if learner.updating else 0)
    learner.snapshot()
    entry = next((e for e in reversed(rooms.registry.history(task)) if e.kind in ("verdict", "job_failed")), None)
    if entry is None:
        return {"task": task, "outcome": "no new events"}
    return {"task": task, "outcome": entry.kind, "version": entry.version, **entry.details}


@click.command("train-now")
@why_option
@task_option
@common
def train_now(options: Options, task: str | None, why: str) -> None:
    """Start an update now, whatever the trigger says.

    \b
    Example:
      retaind train-now --why "new product line"
    """
    _run(options, "train_now", task, {}, why)


@click.command()
@click.argument("version")
@click.option("--hold", is_flag=True, help="Promote nothing by itself until someone promotes again.")
@click.option("--with-labels", is_flag=True, help="Take in again the labels that rollbacks left out.")
@why_option
@task_option
@common
def promote(options: Options, version: str, hold: bool, with_labels: bool, task: str | None, why: str) -> None:
    """Serve VERSION, whatever the gate said of it.

    \b
    Example:
      retaind promote 000042 --hold --why "the gate's holdout is stale"
    """
    _run(options, "promote", task, {"version": version, "hold": hold, "with_labels": with_labels}, why)


@click.command()
@click.option(
    "--without-labels-since",
    metavar="TIME",
    help="Leave out labels that became known since TIME (RFC 3339) until now, here and in later updates.",
)
@why_option
@task_option
@common
def rollback(options: Options, without_labels_since: str | None, task: str | None, why: str) -> None:
    """Serve the previous champion again, and hold: nothing is promoted by itself until someone promotes.

    \b
    Example:
      retaind rollback --why "refunds are misrouted"
      retaind rollback --without-labels-since 2026-11-24T09:00:00Z --why "an import had the wrong labels"
    """
    args: dict[str, Any] = {}
    if without_labels_since is not None:
        from daemon.errors import DecodeError
        from daemon.stream.rfc3339 import parse_time

        try:
            args["without_labels_since"] = parse_time(without_labels_since, "TIME")
        except DecodeError as error:
            raise click.BadParameter(str(error), param_hint="--without-labels-since") from error
    _run(options, "rollback", task, args, why)


@click.command()
@why_option
@task_option
@common
def pause(options: Options, task: str | None, why: str) -> None:
    """Start no update by itself; labels are learned all the same.

    \b
    Example:
      retaind pause --why "labels are being corrected"
    """
    _run(options, "pause", task, {}, why)


@click.command()
@why_option
@task_option
@common
def resume(options: Options, task: str | None, why: str) -> None:
    """Let updates start by themselves again.

    \b
    Example:
      retaind resume
    """
    _run(options, "resume", task, {}, why)


def _run(options: Options, kind: str, task: str | None, args: Mapping[str, Any], why: str) -> None:
    from daemon.app import Rooms

    rooms = Rooms.make(options.load().config)
    outcome = carry_out(rooms, kind, one_task(rooms.config, task), args, why)
    options.emit(outcome, "  ".join(f"{key}: {value}" for key, value in outcome.items()))
