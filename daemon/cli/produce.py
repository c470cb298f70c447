"""``retaind produce``: a file of events into the stream."""

from __future__ import annotations

import time
from pathlib import Path

import click

from daemon.cli.options import Options, common

AT_ONCE = 500


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--topic", metavar="TOPIC", help="Another topic than the first of stream.inputs.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N events a second.")
@common
def produce(options: Options, file: Path, topic: str | None, rate: float | None) -> None:
    """Write the events of FILE (JSON lines) into the stream, and wait until they are acknowledged.

    Lines are written as they are: what is not an event is found in the dead-letter topic.

    \b
    Example:
      retaind produce tickets.jsonl
    """
    from daemon.app import Rooms
    from daemon.cli.progress import bar
    from daemon.stream.encoding import record_key
    from daemon.stream.ports import OutRecord

    rooms = Rooms.make(options.load().config)
    target = topic or rooms.config.stream.inputs[0].topic
    sink = rooms.ends.sink()
    lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    started, done = time.monotonic(), 0
    at_once = AT_ONCE if rate is None else max(1, min(AT_ONCE, int(rate / 10) or 1))
    try:
        with bar("producing", len(lines)) as advance:
            for start in range(0, len(lines), at_once):
                part = lines[start : start + at_once]
                sink.send([OutRecord(target, line, key=record_key(line), timestamp=time.time()) for line in part])
                sink.flush(30.0)
                done += len(part)
                advance(len(part))
                if rate is not None:
                    time.sleep(max(0.0, done / rate - (time.monotonic() - started)))
    finally:
        sink.close()
    seconds = time.monotonic() - started
    options.emit(
        {"topic": target, "acknowledged": done, "seconds": seconds},
        f"{done} events acknowledged by {target} in {seconds:.1f} s",
    )
