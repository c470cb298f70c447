"""What the demo reads, counts and shows."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from daemon.demo.picture import recorder, save
from daemon.demo.prequential import Prequential, Stretch, spark
from daemon.demo.report import Expectation, Report, Told
from daemon.demo.teller import Plain, Screen
from daemon.demo.updates import Outcome, Running, Updates

OUTCOME = Outcome("000001", "000002", "pass", True, 60, 0.8, 0.9, (), ("overall: better",))


def made(*, met: bool = True) -> Report:
    stretch = Stretch(0.9, 0.5, 0.8, (0.9, 0.5, 0.8))
    chapters = [
        Told("first", "one", 100, stretch, ("000001",), [0.8, 0.9, 0.6]),
        Told("second", "two", 100, stretch, ("000001", "000002"), [0.7, 0.8]),
        Told("third", "three", 100, stretch, ("000002",), [0.5]),
    ]
    claims = [Expectation("it recovers", met, "80%", "80%" if met else "12%")]
    return Report(0, chapters, [OUTCOME], claims, ["000001", "000002"], requests=9, seconds=12.0)


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=150)
    for table in report.tables():
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_window_slides_and_a_stretch_has_its_start_low_and_end() -> None:
    # Given a window of four that is full of right answers
    prequential = Prequential(window=4)
    prequential.add([True] * 4)
    # When a stretch begins in which two are wrong and then four right
    prequential.begin()
    prequential.add([False, False, True, True, True, True])
    # Then its ends and its lowest are those of the window
    stretch = prequential.stretch()
    assert (stretch.start, stretch.low, stretch.end) == (1.0, 0.5, 1.0)
    assert stretch.curve == (0.75, 0.5, 0.5, 0.5, 0.75, 1.0)
    assert prequential.events == 10


def test_before_the_window_is_full_nothing_is_said() -> None:
    prequential = Prequential(window=4)
    prequential.begin()
    prequential.add([False] * 3)
    assert prequential.stretch() == Stretch(None, 0.0, 0.0, (0.0,))


def test_a_spark_has_a_bar_for_each_piece() -> None:
    assert spark((0.0, 0.0, 1.0, 1.0), 2) == "▁█"
    assert len(spark(tuple(i / 99 for i in range(99)), 24)) == 24
    assert spark((), 24) == ""


def test_forgetting_is_the_best_end_before_the_last_minus_the_last() -> None:
    report = made()
    assert [round(told.forgetting, 3) for told in report.chapters] == [0.3, -0.1, 0.0]
    assert report.forgetting == pytest.approx(0.1)
    assert report.swaps == 1


def test_a_claim_that_failed_is_shown_with_what_was_expected() -> None:
    text = shown(made(met=False))
    assert "it recovers: expected 80%, found 12%" in text
    assert json.loads(json.dumps(made(met=False).document()))["met"] is False
    assert "all 1 expectations were met" in shown(made())


def test_the_tables_name_chapters_versions_and_verdicts() -> None:
    text = shown(made())
    for part in ("first", "000001 000002", "pass, promoted", "80.0%", "overall: better", "+30 pt", "1 swap"):
        assert part in text, part


def test_the_picture_fetches_nothing(tmp_path: Path) -> None:
    # Given a recorded run
    console = recorder()
    teller = Plain(console)
    teller.chapter(1, "one")
    teller.say("accuracy fell", good=False)
    teller.end(made().tables())
    # When it is saved
    save(console, tmp_path / "run.svg", "retaind demo")
    # Then it is an SVG with the text, and names no other place
    text = (tmp_path / "run.svg").read_text()
    assert text.startswith("<svg")
    assert "fell" in text
    assert set(re.findall(r"https?://[^\s\"<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "url(http" not in text
    assert "@font-face" not in text


def test_updates_are_read_from_their_directories(tmp_path: Path) -> None:
    # Given a job that trains, with a progress line that is not finished yet
    attempt = tmp_path / "000001" / "out" / "attempt-1"
    attempt.mkdir(parents=True)
    (tmp_path / "000001" / "job.json").write_text(json.dumps({"counts": {"new": 160}}))
    updates = Updates(tmp_path)
    running = updates.running()
    assert running is not None
    assert (running.events, running.phase, running.share) == (160, "start", 0.0)
    line: dict[str, Any] = {"phase": "train", "done": 5, "total": 10, "loss": 1.0, "time": 0.0}
    (attempt / "progress.jsonl").write_text(json.dumps(line) + '\n{"phase": "ref')
    running = updates.running()
    assert running is not None
    assert (running.phase, round(running.share, 2)) == ("train", 0.42)
    assert updates.ended() == []
    # When it ends with a rejection
    checks = [{"name": "overall", "passed": False, "margin": -0.1, "reason": "overall: lower"}]
    done = {"version": "000002", "decision": "fail", "promoted": False, "rows": 50, "champion": 0.9, "candidate": 0.5}
    (tmp_path / "000001" / "done.json").write_text(json.dumps({**done, "checks": checks}))
    # Then it is told once, with its reason
    (outcome,) = updates.ended()
    assert (outcome.version, outcome.promoted, outcome.failed) == ("000002", False, ("overall: lower",))
    assert updates.ended() == []
    assert updates.running() is None


def test_the_live_display_shows_where_it_stands_and_an_update_under_way() -> None:
    # Given a terminal
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    prequential = Prequential(window=2)
    prequential.add([True, False])
    # When something is said while an update trains
    with Screen(console) as screen:
        screen.chapter(1, "one")
        screen.standing(prequential, "000001", Running("000001", 160, "train", 0.4))
        screen.say("it learns", good=True)
        screen.end(made().tables())
    # Then all of it was on the screen
    assert isinstance(console.file, io.StringIO)
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    for part in ("50%", "served by 000001", "train, 160 new events", "it learns", "pass, promoted"):
        assert part in seen, part


def test_a_picture_has_the_start_of_an_update_and_not_its_phases() -> None:
    # Given plain lines on a console, and a picture
    console, picture = Console(file=io.StringIO(), width=120), recorder()
    teller = Plain(console, picture)
    # When an update goes through two phases
    for phase in ("start", "train"):
        teller.standing(Prequential(), "000001", Running("000001", 160, phase, 0.4))
    # Then the lines have both, the picture the first
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("update 000001") == 2
    assert picture.export_text().count("update 000001") == 1
