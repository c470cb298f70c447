"""``retaind backtest``: labelled history through the real daemon's rooms."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import Options, common


@click.command()
@click.argument("stream", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--holdout", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--update-on", type=click.Choice(["group", "none"]), help="Update at each group's end, or never.")
@click.option("--update-every", type=click.IntRange(min=1), metavar="N", help="Update after every N events.")
@click.option("--gate", type=click.Choice(["on", "off"]), default="on", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--evaluate-every",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Events between two any-time evaluations.",
)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the report.")
@common
def backtest(
    options: Options,
    stream: Path,
    holdout: Path,
    update_on: str | None,
    update_every: int | None,
    gate: str,
    seed: int,
    evaluate_every: int,
    report: Path | None,
) -> None:
    """Play the labelled events of STREAM in file order and measure what would have been served.

    \b
    Example:
      retaind backtest tickets.jsonl --holdout tickets-holdout.jsonl --update-on group
    """
    if update_on is not None and update_every is not None:
        raise click.UsageError("--update-on and --update-every exclude one another")
    from daemon.backtest import Backtest, dump, read_events
    from daemon.backtest import Options as Choice
    from daemon.cli.progress import bar
    from daemon.logs import configure_logs

    configure_logs(level=logging.WARNING)
    events = read_events(stream, None)
    held = [event for event, _ in read_events(holdout, None)]
    names = Counter(event.task for event, _ in events)
    if len(names) != 1:
        raise click.UsageError(f"{stream} has events of {len(names)} tasks ({', '.join(names)}); play one at a time")
    name = next(iter(names))
    config = options.load().config
    settings = config.tasks.get(name) or options.defaults(name)
    update = "every" if update_every else update_on or "trigger"
    with tempfile.TemporaryDirectory(prefix="retaind-backtest-") as state, bar("playing", len(events)) as advance:
        done = 0

        def progress(phase: str, played: int, total: int) -> None:
            nonlocal done
            advance(played - done)
            done = played

        ours = config.model_copy(update={"tasks": {name: settings}, "state_dir": Path(state)})
        choice = Choice(update, update_every or 0, gate == "on", seed, evaluate_every)  # type: ignore[arg-type]
        result = Backtest(ours, choice, progress).run(events, held)
    if report is not None:
        report.write_bytes(dump(result))
    options.emit(result, _table(result))
    sys.stdout.flush()


def _table(result: dict[str, Any]) -> str:
    cost = result["cost"]
    rows = [
        ("events", result["events"]),
        ("updates", f"{result['updates']} ({sum(v['promoted'] for v in result['versions'])} promoted)"),
        (f"final {result['metric']}", f"{result['final']:.4f}"),
        ("average incremental", f"{result['average_incremental']:.4f}"),
        ("forgetting", f"{result['forgetting']:.4f}"),
        ("backward transfer", f"{result['backward_transfer']:.4f}"),
        ("any-time", _share(result["any_time"]["all"])),
        ("any-time, young classes", _share(result["any_time"]["young"])),
        ("prequential", f"{result['prequential']['value']:.4f}"),
        ("trained samples", cost["trained_samples"]),
        (
            "CPU seconds (training / scoring the holdout / all)",
            f"{cost['train_cpu_s']:.0f} / {cost['evaluate_cpu_s']:.0f} / {cost['total_cpu_s']:.0f}",
        ),
    ]
    return "\n".join(f"{name:<52}{value}" for name, value in rows)


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
