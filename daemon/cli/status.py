"""``retaind status`` and ``retaind buffer``: what is there."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from daemon.cli.options import Options, common, one_task, task_option


@click.command()
@common
def status(options: Options) -> None:
    """Where every task stands, read from the state directory; with a daemon running, its processes too.

    \b
    Example:
      retaind status
    """
    import json

    from daemon.app import Rooms
    from daemon.roles.overview import task_status, text_of
    from daemon.roles.troubles import ingest_status

    rooms = Rooms.make(options.load().config)
    reader = rooms.reader() if rooms.paths.buffer.exists() else None
    run = rooms.paths.root / "run.json"
    document = {
        "state_dir": str(rooms.paths.root),
        "processes": json.loads(run.read_text()).get("pids", {}) if run.exists() else {},
        "ingest": ingest_status(rooms.paths, reader),
        "tasks": {
            name: task_status(rooms.registry, reader, rooms.paths, name, task)
            for name, task in rooms.config.tasks.items()
        },
    }
    options.emit(document, text_of(document))


@click.group()
def buffer() -> None:
    """The durable store of events.

    \b
    Example:
      retaind buffer stats
    """


@buffer.command()
@task_option
@common
def stats(options: Options, task: str | None) -> None:
    """Events, labels and splits of a task.

    \b
    Example:
      retaind buffer stats --task support
    """
    from daemon.app import Rooms
    from daemon.roles.overview import text_of

    rooms = Rooms.make(options.load().config)
    reader = rooms.reader()
    document = {**asdict(reader.stats(one_task(rooms.config, task))), "size_bytes": reader.size_bytes()}
    options.emit(document, text_of(document))


@buffer.command()
@click.option("--task", metavar="NAME", help="Only this task's.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Instead of stdout.")
@common
def export(options: Options, task: str | None, out: Path | None) -> None:
    """Write events as JSON lines, in the form that `retaind produce` reads, plus seq, split and revision.

    \b
    Example:
      retaind buffer export --task support --out support.jsonl
    """
    from daemon.app import Rooms
    from daemon.stream.encoding import encode_stored

    rooms = Rooms.make(options.load().config)
    target = out.open("wb") if out else sys.stdout.buffer
    count = 0
    for event in rooms.reader().export(task):
        target.write(encode_stored(event) + b"\n")
        count += 1
    target.flush()
    if out:
        target.close()
        options.emit({"events": count, "file": str(out)}, f"{count} events written to {out}")


@buffer.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@task_option
@common
def erase(options: Options, ids: tuple[str, ...], task: str | None) -> None:
    """Erase events: produces `op: delete` events, which ingest carries out in order.

    Says which versions were trained on them and where copies stay.

    \b
    Example:
      retaind buffer erase tkt-1042
    """
    import time

    import orjson

    from daemon.app import Rooms
    from daemon.registry.lineage import trained_on
    from daemon.stream.own import OWN
    from daemon.stream.ports import OutRecord

    rooms = Rooms.make(options.load().config)
    name, sink = one_task(rooms.config, task), rooms.ends.sink()
    topic = rooms.config.stream.inputs[0].topic
    body = [orjson.dumps({"id": event_id, "task": name, "op": "delete"}) for event_id in ids]
    now, pairs = time.time(), zip(ids, body, strict=True)
    sink.send([OutRecord(topic, line, event_id.encode(), (OWN,), now) for event_id, line in pairs])
    sink.flush(30.0)
    trained = [version.id for version in trained_on(rooms.registry, name, ids)]
    copies = [*(item.topic for item in rooms.config.stream.inputs), rooms.config.stream.outputs.dead_letters]
    lines = [
        f"{len(ids)} deletions acknowledged by {topic}",
        f"versions trained on them: {', '.join(trained) or 'none'}",
        f"copies stay, until retention takes them, in: {', '.join(copies)}",
    ]
    document = {"task": name, "asked": list(ids), "versions": trained, "copies": copies}
    options.emit(document, "\n".join(lines))
