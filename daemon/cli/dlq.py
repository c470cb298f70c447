"""``retaind dlq``: dead letters, in their topic and in the outbox."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import Options, common

if TYPE_CHECKING:
    from daemon.app import Rooms
    from daemon.events import Origin
    from daemon.roles.send_back import Plan, Wanted
    from daemon.stream.whole import Whole


@click.group()
def dlq() -> None:
    """Dead letters: records that are not events, in the dead-letter topic.

    \b
    Example:
      retaind dlq list --reason unknown_task
    """


def conditions(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --reason, --since, --topic; the command gives them to :func:`_wanted`."""
    for option in (
        click.option("--topic", metavar="TOPIC", help="Only records that came from there."),
        click.option("--since", metavar="TIME", help="Only records of that time or later (RFC 3339)."),
        click.option("--reason", metavar="CODE", help="Only those, such as not_json or unknown_task."),
    ):
        command = option(command)
    return command


@dlq.command("list")
@conditions
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="The last N are shown.")
@common
def list_letters(options: Options, reason: str | None, since: str | None, topic: str | None, limit: int) -> None:
    """List dead letters, with counts by reason, and what still waits in the outbox.

    \b
    Example:
      retaind dlq list --since 2026-11-24T09:00:00Z --limit 10
    """
    from daemon.app import Rooms
    from daemon.cli.letter_text import row, table
    from daemon.errors import StreamUnavailable
    from daemon.roles.letter import letter_of

    rooms = Rooms.make(options.load().config)
    wanted, name = _wanted(reason, since, topic), rooms.config.stream.outputs.dead_letters
    last: deque[dict[str, Any]] = deque(maxlen=limit)
    reasons: Counter[str] = Counter()
    document: dict[str, Any] = {"topic": name, "outbox": _outbox(rooms), "error": None, "complete": False}
    try:
        with _letters(rooms) as whole:
            for letter in map(letter_of, whole):
                if wanted.has(letter):
                    reasons[letter.reason] += 1
                    last.append(row(letter))
            document["complete"] = whole.complete
    except StreamUnavailable as error:
        document["error"] = str(error)
    document |= {"letters": list(last), "matching": reasons.total(), "reasons": dict(reasons.most_common())}
    lines = table(last) if last else []
    counts = ", ".join(f"{code} {count}" for code, count in reasons.most_common())
    lines.append(f"{reasons.total()} dead letters in {name}" + (f": {counts}" if counts else ""))
    if document["error"]:
        lines.append(f"{name} cannot be read: {document['error']}")
    elif not document["complete"]:
        lines.append(f"{name}: stopped before its end, no more records came")
    waiting = document["outbox"]
    if waiting["letters"]:
        lines.append(f"{waiting['letters']} more ({waiting['bytes']} bytes) wait in the outbox: {waiting['why']}")
    options.emit(document, "\n".join(lines))
    if document["error"]:
        raise click.exceptions.Exit(1)


@dlq.command()
@click.argument("place")
@common
def show(options: Options, place: str) -> None:
    """Show the letter of PLACE (TOPIC:PARTITION:OFFSET of the record): every header, and the value.

    \b
    Example:
      retaind dlq show retaind.labelled:0:17
    """
    from daemon.app import Rooms
    from daemon.cli.letter_text import whole, whole_text
    from daemon.errors import RetaindError
    from daemon.roles.letter import letter_of, waiting

    origin = _place(place)
    rooms = Rooms.make(options.load().config)
    kept = rooms.reader().outbox_letter(origin) if rooms.paths.buffer.exists() else None
    letter = None if kept is None else waiting(kept)
    if letter is None:
        with _letters(rooms) as records:
            for found in map(letter_of, records):
                if found.place == origin:
                    letter = found
    if letter is None:
        raise RetaindError(f"{place}: no such letter in {rooms.config.stream.outputs.dead_letters} or in the outbox")
    options.emit(whole(letter), whole_text(letter))


@dlq.command()
@click.argument("places", nargs=-1, metavar="[PLACE]...")
@conditions
@click.option("--all", "everything", is_flag=True, help="Every letter.")
@click.option("--to", metavar="TOPIC", help="Another topic than the one a record came from.")
@click.option("--dry-run", is_flag=True, help="Say what would go; send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def replay(
    options: Options,
    places: tuple[str, ...],
    reason: str | None,
    since: str | None,
    topic: str | None,
    everything: bool,
    to: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Send records back to where they came from, once the cause is mended.

    Key, value, headers and timestamp are the record's own. What was stored already counts once, so a replay may be
    repeated. A reference has no value and is refused.

    \b
    Example:
      retaind dlq replay --reason unknown_task --dry-run
    """
    from daemon.app import Rooms
    from daemon.cli.progress import bar
    from daemon.roles.letter import letter_of
    from daemon.roles.send_back import Sent, plan, send_back

    if not (places or reason or since or topic or everything):
        raise click.UsageError("name letters: PLACE..., --reason, --since, --topic, or --all")
    rooms = Rooms.make(options.load().config)
    wanted = _wanted(reason, since, topic, [_place(place) for place in places])
    read = {item.topic for item in rooms.config.stream.inputs}
    sent, interrupted = Sent(), False
    with _letters(rooms) as whole:
        planned = plan(map(letter_of, whole), wanted, read, to)
        ask = _terminal() and not (yes or dry_run or options.json) and bool(planned.chosen)
        if ask:
            click.confirm(f"{_what(planned)}. Send?", abort=True, err=True)
        if not dry_run and planned.chosen:
            sink = rooms.ends.sink()
            try:
                with bar("replaying", len(planned.chosen)) as advance:
                    send_back(map(letter_of, whole), planned.chosen, sink, to, sent, advance)
            except KeyboardInterrupt:
                interrupted = True
            finally:
                sink.close()
    refused = planned.refused | sent.refused
    lines = [_what(planned) if dry_run else f"{sent.acknowledged} of {len(planned.chosen)} records acknowledged"]
    lines += [f"refused {place}: {why}" for place, why in refused.items()]
    lines += [f"not there: {place}" for place in planned.missing]
    lines += ["interrupted: run it again, what was stored counts once"] if interrupted else []
    document = {
        "dry_run": dry_run,
        "planned": len(planned.chosen),
        "by_reason": dict(planned.by_reason),
        "by_topic": dict(planned.by_topic),
        "acknowledged": sent.acknowledged,
        "refused": refused,
        "missing": planned.missing,
        "interrupted": interrupted,
    }
    options.emit(document, "\n".join(lines))
    if interrupted:
        raise click.exceptions.Exit(130)
    if refused or planned.missing:
        raise click.exceptions.Exit(1)


@contextmanager
def _letters(rooms: Rooms) -> Iterator[Whole]:
    from daemon.stream.whole import Whole

    whole = Whole(rooms.ends.reader([rooms.config.stream.outputs.dead_letters]))
    try:
        yield whole
    finally:
        whole.close()


def _outbox(rooms: Rooms) -> dict[str, Any]:
    from daemon.roles.troubles import read_troubles

    if not rooms.paths.buffer.exists():
        return {"letters": 0, "bytes": 0, "reasons": {}, "why": ""}
    reader = rooms.reader()
    size, reasons = reader.outbox_size(), dict(reader.outbox_reasons())
    reader.close()
    trouble = read_troubles(rooms.paths.troubles).get("dead_letters_wait")
    why = str(trouble["message"]) if trouble else "ingest sends them when it runs"
    return {**size._asdict(), "reasons": reasons, "why": why}


def _terminal() -> bool:
    return sys.stdin.isatty()


def _what(planned: Plan) -> str:
    reasons = ", ".join(f"{code} {count}" for code, count in planned.by_reason.most_common())
    topics = ", ".join(f"{count} to {topic}" for topic, count in planned.by_topic.most_common())
    return f"{len(planned.chosen)} records would go back: {topics} ({reasons})" if planned.chosen else "nothing to send"


def _wanted(reason: str | None, since: str | None, topic: str | None, places: list[Origin] | None = None) -> Wanted:
    from daemon.errors import DecodeError
    from daemon.roles.send_back import Wanted
    from daemon.stream.rfc3339 import parse_time

    try:
        moment = None if since is None else parse_time(since, "TIME")
    except DecodeError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error
    return Wanted(reason, moment, topic, frozenset(places or ()))


def _place(text: str) -> Origin:
    from daemon.roles.letter import parse_place

    try:
        return parse_place(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="PLACE") from error
