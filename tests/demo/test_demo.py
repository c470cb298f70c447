"""``retaind demo`` as people run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from daemon.cli.demo import demo
from daemon.demo import story
from daemon.demo.chapters import chapters
from daemon.demo.report import Expectation, Report

COMMAND = [sys.executable, "-m", "daemon.cli", "demo"]


def telling(met: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the story be one of which the only claim is ``met``."""

    def tell(settings: story.Settings, teller: Any) -> Report:
        report = Report(settings.seed, expectations=[Expectation("it learns", met, "yes", "yes" if met else "no")])
        teller.end(report.tables())
        return report

    monkeypatch.setattr(story, "tell", tell)


@pytest.mark.parametrize(("met", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_says_whether_all_claims_came_true(
    met: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling(met, monkeypatch)
    result = CliRunner().invoke(demo, ["--headless"])
    assert result.exit_code == status
    assert ("it learns: expected yes, found no" in result.output) != met


def test_with_json_there_is_one_document_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    telling(False, monkeypatch)
    picture = tmp_path / "run.svg"
    result = CliRunner().invoke(demo, ["--json", "--seed", "7", "--svg", str(picture)])
    document = json.loads(result.stdout)
    assert (result.exit_code, document["seed"], document["met"]) == (1, 7, False)
    assert picture.read_text().startswith("<svg")


def test_a_demo_too_short_to_show_anything_is_refused() -> None:
    assert CliRunner().invoke(demo, ["--seconds", "5"]).exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    # Given a demo whose daemon is starting, in a process that heeds Ctrl-C whatever this one was started with
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen([*COMMAND, "--headless"], env=environment, stdout=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("retaind-demo-*/state/run.json")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        # When it is interrupted
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    finally:
        process.kill()
    # Then neither a process nor the directory is left
    _gone, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert list(tmp_path.glob("retaind-demo-*")) == []


@pytest.mark.chaos
@pytest.mark.timeout(1000)
def test_the_whole_story_comes_true_on_the_real_daemon(tmp_path: Path) -> None:
    # Given time enough for a loaded machine
    picture = tmp_path / "run.svg"
    command = [*COMMAND, "--json", "--seconds", "900", "--svg", str(picture)]
    # When the whole demo is run
    result = subprocess.run(command, capture_output=True, text=True, timeout=960, check=False)
    document = json.loads(result.stdout)
    # Then every claim came true, and no chapter was left out
    assert [claim for claim in document["expectations"] if not claim["met"]] == []
    assert result.returncode == 0
    assert [chapter["name"] for chapter in document["chapters"]] == [chapter.name for chapter in chapters()]
    # And a candidate was rejected, others were promoted, and no request failed
    assert {update["promoted"] for update in document["updates"]} == {True, False}
    assert document["failed_requests"] == 0
    assert document["swaps"] >= 4
    assert picture.read_text().startswith("<svg")
