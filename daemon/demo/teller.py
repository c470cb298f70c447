"""Who hears the story: a live display on a terminal, plain lines, or nobody (``--json``)."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from daemon.demo.prequential import Prequential, spark
from daemon.demo.updates import Running

WIDTH = 110
"""Characters of a line."""


class Teller(Protocol):
    """Told by the stage as it happens."""

    def chapter(self, number: int, title: str) -> None:
        """A chapter begins."""

    def say(self, line: str, *, good: bool | None = None) -> None:
        """Something happened; ``good``: an expectation that was met, or not."""

    def standing(self, prequential: Prequential, version: str, running: Running | None) -> None:
        """Where it stands: many times a second."""

    def end(self, pictures: Sequence[RenderableType]) -> None:
        """The end, with its tables."""


class Silent:
    """Says nothing."""

    def chapter(self, number: int, title: str) -> None: ...

    def say(self, line: str, *, good: bool | None = None) -> None: ...

    def standing(self, prequential: Prequential, version: str, running: Running | None) -> None: ...

    def end(self, pictures: Sequence[RenderableType]) -> None: ...


class Plain:
    """One line each, with the seconds since the start, on every console given."""

    def __init__(self, *consoles: Console) -> None:
        self._consoles = consoles
        self._started = time.monotonic()
        self._phase = ""

    def chapter(self, number: int, title: str) -> None:
        self._print(Rule(Text(f"{number}  {title}", "bold cyan"), align="left", style="cyan"))

    def say(self, line: str, *, good: bool | None = None) -> None:
        self._say(line, good, self._consoles)

    def _say(self, line: str, good: bool | None, consoles: Sequence[Console]) -> None:
        mark, style = {None: (" ", ""), True: ("✓", "green"), False: ("✗", "bold red")}[good]
        moment = f"{time.monotonic() - self._started:6.1f} s "
        first, *further = textwrap.wrap(line, WIDTH)
        lines = [Text.assemble((moment, "dim"), (f"{mark} {first}", style))]
        lines += [Text(" " * (len(moment) + 2) + part, style) for part in further]
        for console in consoles:
            for shown in lines:
                console.print(shown)

    def standing(self, prequential: Prequential, version: str, running: Running | None) -> None:
        """The phases of an update, one line each; a picture has its start only."""
        phase = "" if running is None else f"{running.job} {running.phase}"
        if running is not None and phase != self._phase:
            line = f"update {running.job} on {running.events} new events: {running.phase} ({running.share:.0%})"
            started = not self._phase.startswith(running.job)
            self._say(line, None, [console for console in self._consoles if started or not console.record])
        self._phase = phase

    def end(self, pictures: Sequence[RenderableType]) -> None:
        for picture in pictures:
            self._print("")
            self._print(picture)

    def _print(self, what: RenderableType) -> None:
        for console in self._consoles:
            console.print(what)


class Screen:
    """Lines that scroll, and below them what is under way; a context manager."""

    def __init__(self, console: Console, *further: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._plain = Plain(self._live.console, *further)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def chapter(self, number: int, title: str) -> None:
        self._plain.chapter(number, title)

    def say(self, line: str, *, good: bool | None = None) -> None:
        self._plain.say(line, good=good)

    def standing(self, prequential: Prequential, version: str, running: Running | None) -> None:
        stretch = prequential.stretch()
        row = Table.grid(padding=(0, 1))
        row.add_row(
            f"{prequential.events:5} events",
            Text(f"{prequential.value:4.0%}", "bold"),
            Text(spark(stretch.curve[-200:], 40), "cyan"),
            f"served by {version}",
        )
        self._live.update(Group(Text(), row, _bar(running)), refresh=True)

    def end(self, pictures: Sequence[RenderableType]) -> None:
        self._live.update(Text(), refresh=True)
        self._plain.end(pictures)


def _bar(running: Running | None) -> RenderableType:
    if running is None:
        return Text()
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=running.share, width=40)
    row.add_row(f"update {running.job}", bar, f"{running.phase}, {running.events} new events")
    return row
