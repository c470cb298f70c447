"""The story: the daemon is started, the chapters are played in order as far as the time goes, and measured."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.demo import scenes
from daemon.demo.chapters import chapters
from daemon.demo.host import Host
from daemon.demo.report import Report, Told
from daemon.demo.simulator import Chapter, Simulator
from daemon.demo.stage import Stage
from daemon.demo.teller import Teller
from daemon.errors import RetaindError

CHAPTER_S, ROLLBACK_S = 25.0, 6.0
"""What must be left for a chapter (or the longest so far, where that took more), and for the rollback, to be begun."""
_WHOSE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


@dataclass(frozen=True, slots=True)
class Settings:
    """``seconds``: the whole demo ends by then; ``port`` 0: a free one; ``sets``: of the daemon's configuration."""

    seconds: float
    seed: int = 0
    port: int = 0
    sets: Sequence[str] = ()


def tell(settings: Settings, teller: Teller) -> Report:
    """Tell it; the report says whether all that was claimed came true.

    Raises RetaindError where the daemon does not start. What goes wrong later is an expectation that was not met.
    """
    started = time.monotonic()
    report = Report(settings.seed)
    with tempfile.TemporaryDirectory(prefix="retaind-demo-") as directory:
        host = Host(Path(directory), started + settings.seconds, port=settings.port, sets=settings.sets)
        with host:
            seconds = host.wait(host.ready, "the daemon to be ready")
            report.facts["ready_s"] = round(seconds, 2)
            teller.say(f"retaind run is ready after {seconds:.1f} s, at {host.url('/v1/status')}")
            stage = Stage(host, Simulator(settings.seed), teller, report)
            try:
                _play(stage, chapters())
            except (RetaindError, OSError) as error:
                stage.expect("the story comes to its end", False, "no error", str(error))
            stage.expect("no request failed", host.failed == 0, "0", f"{host.failed} of {host.requests} failed")
            report.outcomes = list(stage.updates.outcomes)
            report.requests, report.failed_requests = host.requests, host.failed
    report.seconds = time.monotonic() - started
    report.cpu_s = sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, _WHOSE))
    teller.end(report.tables())
    return report


def _play(stage: Stage, story: Sequence[Chapter]) -> None:
    longest = CHAPTER_S
    for number, chapter in enumerate(story, start=1):
        if stage.host.left_s < longest + ROLLBACK_S:
            stage.report.cut.append(chapter.name)
            continue
        began = time.monotonic()
        stage.teller.chapter(number, chapter.title)
        stage.chapter = chapter
        stage.prequential.begin()
        before, moves = stage.prequential.events, len(stage.report.moves)
        scenes.SCENES[chapter.name](stage, chapter)
        versions = stage.report.moves[max(0, moves - 1) :]
        events = stage.prequential.events - before
        told = Told(chapter.name, chapter.title, events, stage.prequential.stretch(), tuple(versions))
        stage.report.chapters.append(told)
        _measure(stage, story)
        longest = max(longest, time.monotonic() - began)
    if len(stage.report.moves) > 1:
        stage.teller.chapter(len(story) + 1, "a rollback, live")
        scenes.rollback(stage)


def _measure(stage: Stage, story: Sequence[Chapter]) -> None:
    """Unseen texts of every chapter told so far, answered now."""
    by_name = {chapter.name: chapter for chapter in story}
    for told in stage.report.chapters:
        told.held.append(stage.unseen(by_name[told.name]))
    found = ", ".join(f"{told.name} {told.held[-1]:.0%}" for told in stage.report.chapters)
    stage.teller.say(f"unseen texts of each chapter so far: {found}")
