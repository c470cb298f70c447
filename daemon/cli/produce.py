"""``retaind produce``: a file of events into the stream."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import Options, common

if TYPE_CHECKING:
    from daemon.app import Rooms
    from daemon.cli.producing import Check, Line, Problem, Produced


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--topic", metavar="TOPIC", help="Another topic than the first of stream.inputs.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N events a second.")
@click.option(
    "--key",
    default="id",
    show_default=True,
    metavar="id|none|FIELD",
    help="What keeps records in one partition, in order: their id, nothing, or a field such as attributes.customer.",
)
@click.option("--skip", type=click.IntRange(min=0), default=0, metavar="N", help="Begin after the first N lines.")
@click.option("--no-check", is_flag=True, help="Send lines as they are; what is no event becomes a dead letter.")
@common
def produce(
    options: Options, path: str, topic: str | None, rate: float | None, key: str, skip: int, no_check: bool
) -> None:
    """Write the events of FILE (JSON lines; - is standard input) into the stream, and wait until they are acknowledged.

    A file is checked first: where a line is no event, nothing is sent. Standard input is checked line by line, and
    sending stops at the first that is none.

    \b
    Example:
      retaind produce tickets.jsonl --rate 200
    """
    from daemon.app import Rooms
    from daemon.cli.producing import MAX_TOLD, Problem, Produced, key_of, lines_of, send
    from daemon.cli.progress import bar
    from daemon.errors import StreamUnavailable

    rooms = Rooms.make(options.load().config)
    target = topic or rooms.config.stream.inputs[0].topic
    check = None if no_check else _check(rooms, target, key)
    produced, problems, total = Produced(through=skip), list[Problem](), None
    found, error, started = 0, "", time.monotonic()
    stop = threading.Event()
    if check is not None and path != "-":
        with open_lines(path) as lines:
            for line in lines_of(lines, skip):
                assert line is not None  # a file does not pause
                problem, total = check(line), line.number - skip
                if problem is not None:
                    found += 1
                    problems += [problem] if found <= MAX_TOLD else []
    if not found:
        with open_lines(path) as lines, _asked_to_stop(stop, at_once=path == "-"):
            source = lines_of(lines, skip)
            if check is not None and path == "-":
                source = _until_wrong(source, check, problems)
            sink = rooms.ends.sink()
            try:
                with bar("producing", total) as advance:
                    send(source, sink, target, key_of(key), rate, stop, produced, advance)
            except StreamUnavailable as unavailable:
                error = str(unavailable)
            except KeyboardInterrupt:
                stop.set()
            finally:
                _close(sink)
        found = len(problems)
    seconds = time.monotonic() - started
    document = {
        "topic": target,
        "sent": produced.sent,
        "acknowledged": produced.acknowledged,
        "refused": produced.refused,
        "refusals": {str(line): why for line, why in produced.refusals.items()},
        "problems": [problem._asdict() for problem in problems],
        "problem_count": found,
        "interrupted": stop.is_set(),
        "error": error or None,
        "through_line": produced.through,
        "seconds": seconds,
    }
    options.emit(document, "\n".join(_told(document, produced, problems, skip)))
    if stop.is_set():
        raise click.exceptions.Exit(130)
    if error or found or produced.refused:
        raise click.exceptions.Exit(1)


def _told(document: dict[str, Any], produced: Produced, problems: list[Problem], skip: int) -> Iterator[str]:
    from daemon.cli.letter_text import plain

    topic = document["topic"]
    for problem in problems[:10]:
        yield f"line {problem.line}: {problem.reason}: {plain(problem.message, 200)}"
    if document["problem_count"]:
        more = "" if produced.sent else "nothing was sent; "
        yield f"{document['problem_count']} lines are no events: {more}correct them, or send them all with --no-check"
    if produced.sent or not problems:
        yield f"{produced.acknowledged} events acknowledged by {topic} in {document['seconds']:.1f} s"
    if produced.refused:
        line, why = next(iter(produced.refusals.items()))
        yield f"{produced.refused} refused, the first at line {line}: {why}"
    if document["error"]:
        yield f"stopped: {document['error']}"
    if document["interrupted"] or document["error"] or (problems and produced.through > skip):
        yield f"go on with --skip {produced.through}"


def _check(rooms: Rooms, topic: str, key: str) -> Check:
    """Raises click.UsageError for a topic that is not read: there is nothing to check by."""
    from daemon.cli.producing import Check
    from daemon.roles.sorting import Sorting

    decoders = rooms.decoders()
    if topic not in decoders:
        raise click.UsageError(f"{topic} is not in stream.inputs ({', '.join(decoders)}): send with --no-check")
    sorting = Sorting(decoders, rooms.schemas, rooms.config.stream.max_record_bytes, lambda event: None)
    return Check(sorting, topic, key)


def _until_wrong(lines: Iterator[Line | None], check: Check, problems: list[Problem]) -> Iterator[Line | None]:
    for line in lines:
        problem = None if line is None else check(line)
        if problem is not None:
            problems.append(problem)
            return
        yield line


@contextmanager
def open_lines(path: str) -> Iterator[Iterable[bytes | None]]:
    from daemon.cli.producing import live

    if path == "-":
        yield live(sys.stdin.fileno())
        return
    with Path(path).open("rb") as opened:
        yield opened


@contextmanager
def _asked_to_stop(stop: threading.Event, *, at_once: bool) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends after what is being sent; a second one at once, and the first one too where
    lines are waited for."""

    def first(number: int, frame: object) -> None:
        if at_once or stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _close(sink: Any) -> None:
    """What a broken stream says at the end was said already."""
    from contextlib import suppress

    from daemon.errors import StreamError

    with suppress(StreamError):
        sink.close()
