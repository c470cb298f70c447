"""``retaind labels`` as a person meets it, without a daemon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daemon.config.paths import StatePaths
from daemon.config.task import Trust
from daemon.trust.belief import SURE
from daemon.trust.entries import Given
from daemon.trust.finding import Finding
from daemon.trust.ledger import Ledger
from tests.cli.run import document, retaind

CHANCE = np.array([0.1, 0, 0, 0, 0, 0, 0, 0.9])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A directory whose ledger holds back 50 labels of one source, the last given on a text that has another label."""
    (tmp_path / "config.yaml").write_text("state_dir: ./state\ntasks: {support: {}}\n")
    ledger = Ledger(StatePaths(tmp_path / "state").ledger("support"), Trust())
    for number in range(400):
        careless = number % 2 == 1
        wrong = careless and number % 8 == 7
        key = (number - 1 if number == 399 else number).to_bytes(16, "big").hex()
        finding = Finding(SURE if wrong else 0, CHANCE, "lost", 4000.0 if wrong else 1.0, 30)
        source = "crowd" if careless else "crm"
        ledger.judge(Given(f"e{number}", key, "late" if wrong else "lost", source, number, True), finding)
        ledger.accuse()
    ledger.cursor = 400
    ledger.save()
    return tmp_path


def test_suspects_are_listed_and_released(state: Path) -> None:
    told = retaind("labels", "suspects", "--limit", "2", cwd=state)
    assert told.returncode == 0, told.stderr
    first, _, last = told.stdout.splitlines()
    assert first.rstrip() == "e399  late (the model: lost, 4000 times as likely)  crowd"
    assert last == "50 held back"
    # When two are released, with no daemon running
    done = document(retaind("labels", "release", "e399", "e391", "--why", "read", "--json", cwd=state))
    assert done == {"task": "support", "released": 2}
    # Then they are held back no longer, and the history says who did it
    found = document(retaind("labels", "suspects", "--json", cwd=state))
    assert found["count"] == 48
    assert {"e399", "e391"}.isdisjoint(row["id"] for row in found["suspects"])
    assert '"why":"read"' in (state / "state" / "registry" / "history.jsonl").read_text()
    # And all of one source
    assert document(retaind("labels", "release", "--source", "crowd", "--json", cwd=state))["released"] == 48
    assert document(retaind("labels", "suspects", "--source", "crowd", "--json", cwd=state))["count"] == 0


def test_what_is_not_held_back_cannot_be_released(state: Path) -> None:
    refused = retaind("labels", "release", "e1", cwd=state)
    assert refused.returncode == 1
    assert "e1: its label is not held back" in refused.stderr
    assert retaind("labels", "release", cwd=state).returncode == 2
    assert retaind("labels", "release", "e399", "--all", cwd=state).returncode == 2


def test_contradictions_and_trust_are_shown(state: Path) -> None:
    told = retaind("labels", "contradictions", cwd=state)
    assert told.stdout.splitlines() == ["e399  late (crowd)  e398  lost (crm)  ", "1 so far"]
    labels = document(retaind("status", "--json", cwd=state))["tasks"]["support"]["labels"]
    assert (labels["suspects"], labels["contradictions"]) == (50, 1)
    assert labels["sources"]["crowd"]["distrusted"]
    assert labels["sources"]["crowd"]["trust"] < 0.8 < 0.95 < labels["sources"]["crm"]["trust"]
