"""``retaind bench``: what we claim, measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from daemon.bench.claims import CLAIMS
from daemon.cli.options import Options, common
from daemon.errors import ConfigError

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
NO_BROKER = (
    "stream.kafka.bootstrap_servers = []: it needs a broker; make kafka starts one, then "
    "--set 'stream.kafka.bootstrap_servers=[\"127.0.0.1:9092\"]'"
)


@click.command()
@click.argument("name", type=click.Choice([*CLAIMS, "all"]), default="all")
@click.argument("stream", type=FILE, required=False)
@click.option("--quick", is_flag=True, help="About a minute each, at a smaller size.")
@click.option("--holdout", type=FILE, help="For a bench that plays STREAM: the rows that are never learned from.")
@click.option(
    "--seeds", default="0,1,2", show_default=True, metavar="N,N,...", help="The same: how often it is played."
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="NAME=KEYS",
    help="The same: one more, as a mapping of the task's keys.",
)
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The same: draw a figure.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="For learning: finished trials are kept there, and a run that was stopped goes on.",
)
@common
def bench(
    options: Options,
    name: str,
    stream: Path | None,
    quick: bool,
    holdout: Path | None,
    seeds: str,
    recipes: tuple[str, ...],
    svg: Path | None,
    keep: Path | None,
) -> None:
    """Measure what we claim, each against a peer in the same run; prints one table a claim.

    Without NAME all of them, one after the other. ``ingest`` needs brokers (make kafka starts one). ``learning`` and
    ``noise`` play STREAM and score --holdout, or texts of our own.

    \b
    Example:
      retaind bench serving --quick
      retaind bench learning tickets.jsonl --holdout tickets-holdout.jsonl --svg learning.svg --keep trials
      retaind bench learning --quick --recipe 'slow={tune: {kind: full}, strategies: [{name: replay}]}'
    """
    from daemon.bench.learning.plan import Plan, numbers, recipe
    from daemon.logs import configure_logs

    configure_logs(level=logging.WARNING)
    if not (name in CLAIMS and CLAIMS[name].on_history) and (stream or holdout or svg or recipes or keep):
        raise click.UsageError(
            f"bench {name} plays no STREAM: --holdout is for learning and noise, "
            "--recipe, --svg and --keep are for learning"
        )
    config = options.load().config
    kafka = config.stream.kafka
    task = _task(options, stream)
    plan = Plan(stream, holdout, numbers(seeds), task=task, recipes=dict(map(recipe, recipes)), svg=svg, keep=keep)
    if name != "all" and CLAIMS[name].on_kafka and not kafka.bootstrap_servers:
        raise ConfigError(NO_BROKER)
    results: dict[str, dict[str, Any]] = {}
    for one in CLAIMS if name == "all" else [name]:
        if CLAIMS[one].on_kafka and not kafka.bootstrap_servers:
            click.echo(f"{one} is left out: {NO_BROKER}", err=True)
            continue
        results[one] = CLAIMS[one].run(quick, kafka, plan)
        if name == "all" and not options.json:
            click.echo(markdown(one, results[one]) + "\n")
    if name != "all":
        options.emit(results[name], markdown(name, results[name]))
    elif options.json:
        options.emit(results, "")


def _task(options: Options, stream: Path | None) -> Mapping[str, Any]:
    """The configuration of the task that is played: as configured by its name, else the defaults."""
    from daemon.backtest import read_events

    name = "bench" if stream is None else next((event.task for event, _ in read_events(stream, None)), "bench")
    settings = options.load().config.tasks.get(name) or options.defaults(name)
    found: Mapping[str, Any] = settings.model_dump(mode="json")
    return found


def markdown(name: str, result: Mapping[str, Any]) -> str:
    """A heading with the headline, the table of rows, further ``tables`` with their titles, ``notes``, and one line
    each for the facts, machine and versions. ``details`` are for machines."""
    apart = ("headline", "unit", "rows", "machine", "tables", "notes", "details")
    facts = {key: value for key, value in result.items() if key not in apart}
    versions = facts.pop("versions")
    parts = [
        f"### {name}: {result['headline']} {result['unit']}",
        _table(result["rows"]),
        *(f"{title}\n\n{_table(rows)}" for title, rows in result.get("tables", {}).items()),
        *(["\n".join(f"- {note}" for note in result["notes"])] if "notes" in result else []),
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
