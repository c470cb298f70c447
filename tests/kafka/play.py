"""``make kafka``: a broker for a person to play with, and the lines to try. Its data stays in ``.kafka/play``."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import click

from tests.daemon.harness import events
from tests.kafka import jars
from tests.kafka.broker import Broker

TRY = """\
Apache Kafka listens on {bootstrap}; Ctrl-C ends it, and what it holds is there next time ({directory}).

In another terminal, here:
  . .venv/bin/activate
  export RETAIND_STATE_DIR={directory}/state RETAIND_STREAM__KIND=kafka \\
    RETAIND_STREAM__KAFKA__BOOTSTRAP_SERVERS='["{bootstrap}"]' RETAIND_STREAM__KAFKA__CREATE_TOPICS=true
  retaind run

In a third, after the same two lines:
  retaind produce {directory}/labelled.jsonl
  retaind status
  retaind produce {directory}/requests.jsonl --topic retaind.requests
  python -m kafka.consumer -b {bootstrap} -C auto_offset_reset=earliest -t retaind.predictions

Or without the exports, at each command:
  retaind run --set stream.kind=kafka --set 'stream.kafka.bootstrap_servers=["{bootstrap}"]' \\
    --set stream.kafka.create_topics=true --set state_dir={directory}/state
"""
LABELLED, REQUESTS = 400, 20


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=9092, show_default=True, help="On 127.0.0.1.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=jars.CACHE / "play",
    help="Where the broker's data and the files to try are.",
)
def play(port: int, directory: Path) -> None:
    """Run one Apache Kafka broker until Ctrl-C."""
    if (lacking := jars.lacking()) is not None:
        raise click.ClickException(lacking)
    if _taken(port):
        raise click.ClickException(f"port {port} of 127.0.0.1 is taken: choose another, make kafka PORT=19092")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.set())
    directory.mkdir(parents=True, exist_ok=True)
    write(directory)
    broker = Broker(directory / "broker", port=port)
    with broker:
        click.echo(TRY.format(bootstrap=broker.bootstrap, directory=_short(directory)))
        while broker.running and not stop.wait(0.5):
            pass
        if not broker.running:
            raise click.ClickException(f"the broker ended:\n{broker.tail()}")
        click.echo("stopping", err=True)
        broker.stop()


def write(directory: Path) -> None:
    """Events to learn from and requests that ask for a label, as JSON lines."""
    requests = [{**event, "id": f"r{i}"} for i, event in enumerate(events(REQUESTS, start=10_000))]
    for event in requests:
        del event["label"]
    files: Mapping[str, list[dict[str, object]]] = {"labelled": events(LABELLED), "requests": requests}
    for name, rows in files.items():
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def _short(directory: Path) -> Path:
    here = Path.cwd()
    return directory.relative_to(here) if directory.is_relative_to(here) else directory


if __name__ == "__main__":
    sys.exit(play())
