"""What came of it: one document, computed from the answers, and the tables that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from daemon.demo.prequential import Stretch, spark
from daemon.demo.updates import Outcome


@dataclass(frozen=True, slots=True)
class Expectation:
    """Something that the story claims, with what was found."""

    what: str
    met: bool
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Told:
    """A chapter that was told. ``held``: accuracy on this chapter's unseen texts, at the end of this and each
    later chapter; ``versions``: that answered in it, in order."""

    name: str
    title: str
    events: int
    stretch: Stretch
    versions: tuple[str, ...]
    held: list[float] = field(default_factory=list)

    @property
    def forgetting(self) -> float:
        """Best of the ends before the last - the last (Chaudhry et al. 2018), in [-1, 1]; 0 for the last chapter."""
        return max(self.held[:-1]) - self.held[-1] if len(self.held) > 1 else 0.0


@dataclass(slots=True)
class Report:
    seed: int
    chapters: list[Told] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    """Versions as answers carried them, in order: each change is a swap that was seen."""
    facts: dict[str, Any] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    """Chapters that were not begun for lack of time."""
    requests: int = 0
    failed_requests: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    """Processor seconds of the daemon with its trainers, and of the demo."""

    @property
    def met(self) -> bool:
        return all(expectation.met for expectation in self.expectations)

    @property
    def swaps(self) -> int:
        return max(0, len(self.moves) - 1)

    @property
    def forgetting(self) -> float:
        """Mean over all chapters but the last."""
        earlier = self.chapters[:-1]
        return sum(told.forgetting for told in earlier) / len(earlier) if earlier else 0.0

    def document(self) -> Mapping[str, Any]:
        """As JSON; shapes in docs/reference/demo.md."""
        return {
            "seed": self.seed,
            "met": self.met,
            "seconds": round(self.seconds, 1),
            "cpu_s": round(self.cpu_s, 1),
            "chapters": [_chapter(told) for told in self.chapters],
            "cut": self.cut,
            "forgetting": round(self.forgetting, 4),
            "updates": [asdict(outcome) for outcome in self.outcomes],
            "moves": self.moves,
            "swaps": self.swaps,
            "requests": self.requests,
            "failed_requests": self.failed_requests,
            "facts": self.facts,
            "expectations": [asdict(expectation) for expectation in self.expectations],
        }

    def tables(self) -> Sequence[RenderableType]:
        return _chapters(self), _updates(self), _summary(self)


def _chapter(told: Told) -> Mapping[str, Any]:
    stretch = told.stretch
    return {
        "name": told.name,
        "title": told.title,
        "events": told.events,
        "accuracy_before": stretch.start,
        "accuracy_lowest": stretch.low,
        "accuracy_after": stretch.end,
        "unseen": told.held,
        "forgetting": round(told.forgetting, 4),
        "versions": told.versions,
    }


def _chapters(report: Report) -> RenderableType:
    table = Table(
        title="Each event answered before its label was told: accuracy over the last 50", title_justify="left"
    )
    for heading in ("chapter", "events", "before", "lowest", "after", "within the chapter", "unseen: then", "now"):
        table.add_column(heading, justify="left" if heading in ("chapter", "within the chapter") else "right")
    table.add_column("forgotten", justify="right")
    table.add_column("served by")
    for told in report.chapters:
        s = told.stretch
        table.add_row(
            told.name,
            str(told.events),
            "-" if s.start is None else f"{s.start:.0%}",
            f"{s.low:.0%}",
            Text(f"{s.end:.0%}", "bold"),
            Text(spark(s.curve, 24), "cyan"),
            f"{told.held[0]:.0%}" if told.held else "-",
            f"{told.held[-1]:.0%}" if told.held else "-",
            f"{100 * told.forgetting:+.0f} pt" if len(told.held) > 1 else "",
            " ".join(told.versions),
        )
    return table


def _updates(report: Report) -> RenderableType:
    table = Table(title="Updates and what the gate said", title_justify="left")
    for heading in ("version", "verdict", "served", "candidate", "rows", "why"):
        table.add_column(heading, justify="right" if heading in ("served", "candidate", "rows") else "left")
    for outcome in report.outcomes:
        verdict = "promoted" if outcome.promoted else "rejected"
        table.add_row(
            outcome.version or "-",
            Text(f"{outcome.decision}, {verdict}", "green" if outcome.promoted else "red"),
            f"{outcome.champion:.1%}",
            f"{outcome.candidate:.1%}",
            str(outcome.rows),
            (outcome.failed or outcome.reasons)[0],
        )
    return table


def _summary(report: Report) -> RenderableType:
    events = sum(told.events for told in report.chapters)
    moves = " → ".join(report.moves)
    said = (
        f"{events} events in {report.seconds:.0f} s, {report.cpu_s:.0f} CPU seconds",
        f"{report.requests} requests, {report.failed_requests} failed",
        f"{report.swaps} swaps seen in the answers ({moves})",
        f"forgetting {100 * report.forgetting:+.1f} points",
    )
    lines = [Text("; ".join(said))]
    if report.cut:
        lines.append(Text(f"not told for lack of time: {', '.join(report.cut)}", "yellow"))
    broken = [e for e in report.expectations if not e.met]
    lines += [Text(f"✗ {e.what}: expected {e.expected}, found {e.found}", "bold red") for e in broken]
    if not broken:
        lines.append(Text(f"✓ all {len(report.expectations)} expectations were met", "green"))
    return Group(*lines)
