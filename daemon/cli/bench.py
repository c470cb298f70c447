"""``retaind bench``: what we claim, measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import click

from daemon.bench.claims import CLAIMS
from daemon.cli.options import Options, common
from daemon.errors import ConfigError

NO_BROKER = (
    "stream.kafka.bootstrap_servers = []: it needs a broker; make kafka starts one, then "
    "--set 'stream.kafka.bootstrap_servers=[\"127.0.0.1:9092\"]'"
)


@click.command()
@click.argument("name", type=click.Choice([*CLAIMS, "all"]), default="all")
@click.option("--quick", is_flag=True, help="About a minute each, at a smaller size.")
@common
def bench(options: Options, name: str, quick: bool) -> None:
    """Measure what we claim, each against a peer in the same run; prints one table a claim.

    Without NAME all of them, one after the other. ``ingest`` needs brokers (make kafka starts one).

    \b
    Example:
      retaind bench serving --quick
    """
    from daemon.logs import configure_logs

    configure_logs(level=logging.WARNING)
    kafka = options.load().config.stream.kafka
    if name != "all" and CLAIMS[name].on_kafka and not kafka.bootstrap_servers:
        raise ConfigError(NO_BROKER)
    results: dict[str, dict[str, Any]] = {}
    for one in CLAIMS if name == "all" else [name]:
        if CLAIMS[one].on_kafka and not kafka.bootstrap_servers:
            click.echo(f"{one} is left out: {NO_BROKER}", err=True)
            continue
        results[one] = CLAIMS[one].run(quick, kafka)
        if name == "all" and not options.json:
            click.echo(markdown(one, results[one]) + "\n")
    if name != "all":
        options.emit(results[name], markdown(name, results[name]))
    elif options.json:
        options.emit(results, "")


def markdown(name: str, result: Mapping[str, Any]) -> str:
    """A heading with the headline, the table of rows, and one line each for the facts, machine and versions."""
    facts = {key: value for key, value in result.items() if key not in ("headline", "unit", "rows", "machine")}
    versions = facts.pop("versions")
    parts = [
        f"### {name}: {result['headline']} {result['unit']}",
        _table(result["rows"]),
        " · ".join(f"{_words(key)} {value}" for key, value in facts.items()),
        f"{result['machine']} · " + " · ".join(f"{key} {value}" for key, value in versions.items()),
    ]
    return "\n\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_words(column) for column in columns], ["---"] * len(columns)]
    cells += [[str(row.get(column, "")) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _words(key: str) -> str:
    return key.replace("_", " ")
