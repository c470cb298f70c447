"""``retaind dlq`` as a person meets it: a real buffer, the embedded stream, the real ingest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from daemon.app import Rooms, make_ingest
from daemon.cli import cli
from daemon.config.load import load
from daemon.errors import RetaindError
from daemon.stream.embedded import EmbeddedSource
from daemon.stream.ports import OutRecord

CONFIG = "state_dir: ./state\ntasks: {support: {}}\n"
LINE = {"id": "a", "task": "support", "time": "2026-01-01T00:00:00Z", "text": "hi", "label": "x"}
IN = "retaind.labelled"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def write(*values: bytes) -> None:
    sink = rooms().ends.sink()
    sink.send([OutRecord(IN, value, b"k", (("mine", b"1"),), 1_767_225_600.0 + n) for n, value in enumerate(values)])
    sink.flush(5.0)
    sink.close()


def rooms() -> Rooms:
    return Rooms.make(load(Path("config.yaml"), [], {}).config)


def ingest() -> None:
    made = rooms()
    role = make_ingest(made, made.ends.member(list(made.decoders()), "ingest"), made.ends.sink())
    while role.step():
        pass
    role.close()


def ids() -> list[str]:
    reader = rooms().reader()
    found = [event.id for event in reader.export()]
    reader.close()
    return found


def run(*words: str, status: int = 0, given: str | None = None) -> str:
    result = CliRunner().invoke(cli, ["dlq", *words], input=given, catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout


def document(*words: str, status: int = 0) -> Any:
    text = run(*words, "--json", status=status)
    assert text.count("\n") == 1
    return json.loads(text)


@pytest.fixture
def letters() -> Sequence[bytes]:
    """Four records: no JSON (with what a terminal would obey), an unknown task, one too large, a good one."""
    values = [b"\x1b[2Jnonsense", orjson.dumps({**LINE, "task": "later"}), b"x" * 2_000_000, orjson.dumps(LINE)]
    write(*values)
    ingest()
    assert ids() == ["a"]
    return values


def test_they_are_listed_with_counts_and_filters(letters: Sequence[bytes]) -> None:
    found = document("list")
    assert found["reasons"] == {"not_json": 1, "unknown_task": 1, "too_large": 1}
    assert (found["matching"], found["complete"], found["error"]) == (3, True, None)
    assert found["outbox"]["letters"] == 0
    first, second, third = found["letters"]
    assert (first["place"], first["time"], first["replayed"]) == (f"{IN}:0:0", "2026-01-01T00:00:00Z", 0)
    assert "'later' is not configured" in second["message"]
    assert (third["reference"], third["size_bytes"]) == (True, 2_000_000)
    narrow = document("list", "--reason", "unknown_task", "--since", "2026-01-01T00:00:01Z", "--topic", IN)
    assert [item["place"] for item in narrow["letters"]] == [f"{IN}:0:1"]
    assert document("list", "--since", "2026-01-02T00:00:00Z")["matching"] == 0
    limited = document("list", "--limit", "1")
    assert ([item["place"] for item in limited["letters"]], limited["matching"]) == ([f"{IN}:0:2"], 3)
    # As text nothing reaches the terminal that it would obey
    text = run("list")
    assert text.splitlines()[0].split() == ["place", "time", "reason", "message", "first", "bytes"]
    assert "3 dead letters in retaind.dlq: not_json 1, unknown_task 1, too_large 1" in text
    assert "\x1b" not in text
    assert "nonsense" in text


def test_one_is_shown_whole(letters: Sequence[bytes]) -> None:
    text = run("show", f"{IN}:0:1")
    assert '    "task": "later",' in text
    assert "  __connect.errors.offset: 1" in text
    assert "  mine: 1" in text
    found = document("show", f"{IN}:0:0")
    assert found["value"] == "\x1b[2Jnonsense"
    assert {"name": "retaind.reason", "value": "not_json"} in found["headers"]
    assert "2000000 bytes, not in the letter" in run("show", f"{IN}:0:2")
    with pytest.raises(RetaindError, match="no such letter"):
        run("show", f"{IN}:0:3")
    run("show", "nowhere", status=2)


def test_after_the_cause_is_mended_they_go_back_and_are_stored_once(letters: Sequence[bytes]) -> None:
    # Given a task that is configured now
    Path("config.yaml").write_text(CONFIG.replace("{support: {}}", "{support: {}, later: {}}"))
    dry = document("replay", "--reason", "unknown_task", "--dry-run")
    assert (dry["planned"], dry["by_topic"], dry["acknowledged"]) == (1, {IN: 1}, 0)
    ingest()
    assert ids() == ["a"]
    # When what died of it is sent back, twice
    for _ in range(2):
        sent = document("replay", "--reason", "unknown_task")
        assert (sent["acknowledged"], sent["refused"]) == (1, {})
        ingest()
    # Then the event is stored, once, and the dead letters are as many as before
    assert ids() == ["a", "a"]  # one of each task
    assert document("list")["matching"] == 3


def test_what_cannot_go_back_is_said_with_status_1(letters: Sequence[bytes]) -> None:
    sent = document("replay", "--all", status=1)
    assert sent["acknowledged"] == 2
    assert "its value (2000000 bytes) is not in the letter" in sent["refused"][f"{IN}:0:2"]
    ingest()
    again = document("list")
    assert again["reasons"] == {"not_json": 2, "unknown_task": 2, "too_large": 1}
    assert [item["replayed"] for item in again["letters"]] == [0, 0, 0, 1, 1]
    assert document("replay", f"{IN}:0:77", status=1)["missing"] == [f"{IN}:0:77"]
    run("replay", status=2)


def test_another_topic_can_be_named(letters: Sequence[bytes]) -> None:
    document("replay", f"{IN}:0:0", "--to", "quarantine")
    made = rooms()
    source = EmbeddedSource(made.paths.stream, ["quarantine"], "g", made.config.stream.embedded)
    (record,) = source.poll(10, 0.0)
    source.close()
    assert record.value == letters[0]


def test_a_person_is_asked(letters: Sequence[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.cli.dlq._terminal", lambda: True)
    result = CliRunner().invoke(cli, ["dlq", "replay", "--reason", "not_json"], input="n\n")
    assert result.exit_code == 1
    assert f"1 records would go back: 1 to {IN} (not_json 1). Send?" in result.output
    assert document("list")["matching"] == 3
    assert "1 of 1 records acknowledged" in run("replay", "--reason", "not_json", given="y\n")
    assert "1 of 1 records acknowledged" in run("replay", "--reason", "not_json", "--yes")


def test_what_waits_in_the_outbox_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given letters that their topic does not take
    write(b"nonsense")
    monkeypatch.setattr("daemon.roles.letters.Letters.send", lambda self: False)
    ingest()
    # Then list and show tell of them, and nothing can be sent back yet
    found = document("list")
    assert (found["matching"], found["outbox"]["letters"], found["outbox"]["reasons"]) == (0, 1, {"not_json": 1})
    assert "1 more" in run("list")
    assert "waits in the outbox" in run("show", f"{IN}:0:0")
    assert document("replay", "--all")["planned"] == 0
