"""``retaind config show`` and ``retaind check-config``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import Options, common

if TYPE_CHECKING:
    from daemon.config.models import Config
    from daemon.finding import Finding


@click.group()
def config() -> None:
    """The configuration as it is in force.

    \b
    Example:
      retaind config show
    """


@config.command()
@common
def show(options: Options) -> None:
    """Print each value of the configuration with where it came from; secrets are redacted.

    \b
    Example:
      RETAIND_HTTP__PORT=8091 retaind config show --set predict.threads=2
    """
    from daemon.config.provenance import values_of

    loaded = options.load()
    values = values_of(loaded.config)
    document = {key: {"value": value, "from": loaded.provenance[key]} for key, value in values.items()}
    width = max(len(key) for key in values)
    lines = [f"{key:<{width}}  {json.dumps(value)}  # {loaded.provenance[key]}" for key, value in values.items()]
    options.emit(document, "\n".join(lines))


@click.command("check-config")
@click.option(
    "--sample",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help='Sample records, one a line, each its value or {"key", "headers", "value"}: show what becomes of each.',
)
@click.option("--topic", metavar="TOPIC", help="The input topic whose decoder reads the sample [default: the first].")
@click.option("--connect", is_flag=True, help="Ask the stream's brokers too: connection, topics, permissions.")
@common
def check_config(options: Options, sample: Path | None, topic: str | None, connect: bool) -> None:
    """Check the configuration without starting anything; with --sample, decode sample records too.

    Nothing is connected to without --connect. Exit status 1 where a sample record would go to the dead-letter topic,
    and where --connect finds something that fails.

    \b
    Example:
      retaind check-config --sample tickets.jsonl
    """
    from daemon.app import check_plugins

    loaded = options.load()
    check_plugins(loaded.config)
    lines, rows = [f"configuration: valid (tasks: {', '.join(loaded.config.tasks)})"], []
    if sample is not None:
        from daemon.cli.sample import decode_file, table

        rows = decode_file(loaded.config, sample, topic)
        lines += table(rows)
    dead = sum(1 for row in rows if row.reason is not None)
    if rows:
        lines.append(f"{len(rows) - dead} of {len(rows)} records are events, {dead} would be dead letters")
    findings = _reached(loaded.config) if connect else []
    for finding in findings:
        lines += [f"{finding.status:<5} {finding.says}", *([f"      mend: {finding.mend}"] if finding.mend else [])]
    document = {
        "valid": True,
        "tasks": list(loaded.config.tasks),
        "sample": [row.document() for row in rows],
        "connect": [asdict(finding) for finding in findings],
    }
    options.emit(document, "\n".join(lines))
    if dead or any(finding.status == "fail" for finding in findings):
        raise click.exceptions.Exit(1)


def _reached(config: Config) -> list[Finding]:
    from daemon.doctor.stream import look_at_stream

    return list(look_at_stream(config.stream))
