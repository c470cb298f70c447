"""``retaind labels``: labels that are held back, and texts with two labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.control_commands import carry_out, why_option
from daemon.cli.options import Options, common, one_task, task_option

if TYPE_CHECKING:
    from daemon.app import Rooms
    from daemon.trust.ledger import Ledger

TEXT = 60
"""Characters of a text that a line shows."""


@click.group()
def labels() -> None:
    """Wrong and contradictory labels.

    \b
    Example:
      retaind labels suspects
    """


@labels.command()
@click.option("--source", metavar="NAME", help="Only those of one source.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest N are shown.")
@task_option
@common
def suspects(options: Options, task: str | None, source: str | None, limit: int) -> None:
    """List labels that are held back, newest first, with what the model says instead.

    They are stored, but teach and measure nothing until they are released, confirmed by another source or corrected.
    The list is as of the learner's last snapshot (learn.snapshot_s).

    \b
    Example:
      retaind labels suspects --source crowd --limit 20
    """
    from daemon.app import Rooms

    rooms = Rooms.make(options.load().config)
    name = one_task(rooms.config, task)
    ledger = _ledger(rooms, name)
    chosen = (row for row in ledger.suspects if source in (None, row.source))
    found = sorted(chosen, key=lambda row: row.seq, reverse=True)
    texts = _texts(rooms, name, [row.id for row in found[:limit]])
    rows = [
        {
            "id": row.id,
            "label": row.label,
            "answer": row.answer,
            "odds": round(row.odds, 1),
            "source": row.source,
            "text": texts.get(row.id, ""),
        }
        for row in found[:limit]
    ]
    lines = [
        f"{row['id']}  {row['label']} (the model: {row['answer']}, {row['odds']:g} times as likely)"
        f"  {row['source'] or '-'}  {str(row['text'])[:TEXT]}"
        for row in rows
    ]
    document = {"task": name, "count": len(found), "suspects": rows}
    options.emit(document, "\n".join([*lines, f"{len(found)} held back"]))


@labels.command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest N are shown.")
@task_option
@common
def contradictions(options: Options, task: str | None, limit: int) -> None:
    """List texts that two events gave two labels, newest first (the last hundred are kept; all are counted).

    \b
    Example:
      retaind labels contradictions
    """
    from dataclasses import asdict

    from daemon.app import Rooms

    rooms = Rooms.make(options.load().config)
    name = one_task(rooms.config, task)
    inputs = _ledger(rooms, name).inputs
    shown = inputs.shown[:limit]
    texts = _texts(rooms, name, [row.id for row in shown])
    rows = [{**asdict(row), "text": texts.get(row.id, "")} for row in shown]
    lines = [
        f"{row.id}  {row.label} ({row.source or '-'})  {row.other_id}  {row.other_label} ({row.other_source or '-'})"
        f"  {texts.get(row.id, '')[:TEXT]}"
        for row in shown
    ]
    document = {"task": name, "count": inputs.contradictions, "contradictions": rows}
    options.emit(document, "\n".join([*lines, f"{inputs.contradictions} so far"]))


@labels.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--source", metavar="NAME", help="All that one source gave.")
@click.option("--all", "everything", is_flag=True, help="All that are held back.")
@why_option
@task_option
@common
def release(
    options: Options, ids: tuple[str, ...], source: str | None, everything: bool, task: str | None, why: str
) -> None:
    """Let labels that are held back count: they are right after all, and their source is trusted a little more.

    \b
    Example:
      retaind labels release tkt-1042 tkt-1043 --why "read them"
      retaind labels release --source crowd --why "they label the hard ones"
    """
    from daemon.app import Rooms
    from daemon.errors import CommandRefused
    from daemon.roles.commands import MOST_RELEASED

    if (bool(ids), source is not None, everything).count(True) != 1:
        raise click.UsageError("name events by ID, or give one of --source and --all")
    rooms = Rooms.make(options.load().config)
    name = one_task(rooms.config, task)
    held = {row.id: row.source for row in _ledger(rooms, name).suspects}
    unknown = [event_id for event_id in ids if event_id not in held]
    if unknown:
        raise CommandRefused(f"{unknown[0]}: its label is not held back; retaind labels suspects lists those that are")
    wanted = list(ids) or [event_id for event_id, by in held.items() if everything or by == source]
    for start in range(0, len(wanted), MOST_RELEASED):
        carry_out(rooms, "release", name, {"ids": wanted[start : start + MOST_RELEASED]}, why)
    options.emit({"task": name, "released": len(wanted)}, f"{len(wanted)} released")


def _ledger(rooms: Rooms, task: str) -> Ledger:
    """As of the last snapshot, without what was released since."""
    from daemon.roles.standing import releases
    from daemon.trust.ledger import Ledger

    ledger = Ledger.open(rooms.paths.ledger(task), rooms.config.tasks[task].trust)
    ledger.obey(releases(rooms.registry, task))
    return ledger


def _texts(rooms: Rooms, task: str, ids: Sequence[str]) -> Mapping[str, str]:
    if not rooms.paths.buffer.exists():
        return {}
    reader = rooms.reader()
    events = [reader.get(task, event_id) for event_id in ids]
    reader.close()
    return {event.id: _text(event.input) for event in events if event is not None}


def _text(value: Any) -> str:
    return " / ".join(part for part in (value.text, value.text_pair) if part)
