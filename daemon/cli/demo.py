"""``retaind demo``: the real daemon on the embedded stream, fed by a simulator, told as it happens."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import Options, common

if TYPE_CHECKING:
    from daemon.demo.report import Report
    from daemon.demo.story import Settings


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=30),
    default=170,
    show_default=True,
    help="Ends by then; leaves chapters out for it.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the simulated events.")
@click.option("--headless", is_flag=True, help="Plain lines, no live display.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Of the daemon's HTTP; 0: a free one."
)
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Save the run as a picture."
)
@common
def demo(options: Options, seconds: float, seed: int, headless: bool, port: int, svg: Path | None) -> None:
    """Run the daemon on a directory of its own and show it learning, drifting, updating, refusing, rolling back.

    Everything said is computed from its answers; what does not come true is said too, and ends with status 1.
    --set changes the demo's own configuration; --config is not read.

    \b
    Example:
      retaind demo --headless --seed 7
    """
    from daemon.demo.story import Settings

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    report = _tell(options, Settings(seconds, seed, port, options.sets), headless, svg)
    if options.json:
        options.emit(report.document(), "")
    if not report.met:
        raise click.exceptions.Exit(1)


def _tell(options: Options, settings: Settings, headless: bool, svg: Path | None) -> Report:
    from rich.console import Console

    from daemon.demo.picture import recorder, save
    from daemon.demo.story import tell
    from daemon.demo.teller import Plain, Screen

    recorded = recorder()
    console = Console() if sys.stdout.isatty() else Console(width=recorded.width)
    if options.json:
        report = tell(settings, Plain(recorded))
    elif headless or not sys.stdout.isatty():
        report = tell(settings, Plain(console, recorded))
    else:
        with Screen(console, recorded) as screen:
            report = tell(settings, screen)
    if svg is not None:
        save(recorded, svg, "retaind demo")
    return report
