"""``retaind produce``: checked first, counted, paced, stopped and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from daemon.app import Rooms
from daemon.cli import cli
from daemon.cli.producing import Line, Produced, key_of, lines_of, send
from daemon.config.load import load
from daemon.errors import StreamUnavailable
from daemon.stream.ports import Record
from daemon.testing import MemoryBroker, MemorySink
from tests.cli.run import COMMAND

IN = "retaind.labelled"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("state_dir: ./state\ntasks: {support: {}}\n")
    return tmp_path


def event(name: str, **more: object) -> bytes:
    return orjson.dumps({"id": name, "time": "2026-01-01T00:00:00Z", "text": f"text {name}", **more})


def file(*lines: bytes) -> str:
    Path("events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return "events.jsonl"


def produce(*words: str, status: int = 0) -> Any:
    result = CliRunner().invoke(cli, ["produce", *words, "--json"], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def written(topic: str = IN) -> Sequence[Record]:
    made = Rooms.make(load(Path("config.yaml"), [], {}).config)
    source = made.ends.reader([topic])
    found: list[Record] = []
    while records := source.poll(1000, 0.0):
        found += records
    source.close()
    return found


def test_every_line_is_acknowledged_and_has_its_key() -> None:
    # Given more lines than go at once, blank ones among them
    lines = [event(f"e{n}", attributes={"customer": f"c{n % 3}"}) for n in range(1200)]
    found = produce(file(*lines[:10], b"", b"  ", *lines[10:]))
    # Then all are there, once and in order, keyed by their id
    assert (found["sent"], found["acknowledged"], found["refused"], found["through_line"]) == (1200, 1200, 0, 1202)
    records = written()
    assert [record.value for record in records] == lines
    assert [record.key for record in records] == [b"e%d" % n for n in range(1200)]
    # And another key, or none, can be chosen
    produce(file(*lines[:3]), "--key", "attributes.customer")
    produce(file(*lines[:1]), "--key", "none")
    assert [record.key for record in written()[1200:]] == [b"c0", b"c1", b"c2", None]


def test_a_file_with_a_wrong_line_sends_nothing_and_names_each() -> None:
    bad = file(event("a"), b"{nonsense", event("b"), event("c", task="nobody"))
    found = produce(bad, status=1)
    assert (found["sent"], found["problem_count"]) == (0, 2)
    assert [(item["line"], item["reason"]) for item in found["problems"]] == [(2, "not_json"), (4, "unknown_task")]
    assert written() == []
    told = CliRunner().invoke(cli, ["produce", bad]).output
    assert "line 2: not_json: " in told
    assert "2 lines are no events: nothing was sent; correct them, or send them all with --no-check" in told
    # Unless that is what is wanted
    assert produce(bad, "--no-check")["acknowledged"] == 4
    assert [record.key for record in written()] == [b"a", None, b"b", b"c"]


def test_a_line_without_the_chosen_key_is_wrong() -> None:
    found = produce(file(event("a", attributes={"c": "1"}), event("b")), "--key", "attributes.c", status=1)
    assert found["problems"] == [
        {"line": 2, "reason": "no_key", "message": "--key attributes.c: no such string in this line"}
    ]


def test_a_topic_that_is_not_read_cannot_be_checked_by() -> None:
    result = CliRunner().invoke(cli, ["produce", file(event("a")), "--topic", "mine"])
    assert result.exit_code == 2
    assert "mine is not in stream.inputs (retaind.labelled, retaind.requests): send with --no-check" in result.output
    assert produce(file(event("a")), "--topic", "mine", "--no-check")["topic"] == "mine"
    assert len(written("mine")) == 1


def test_skip_goes_on_behind_the_lines_that_are_done() -> None:
    # A wrong line among those is none of its business
    found = produce(file(b"nonsense", event("a"), event("b")), "--skip", "1")
    assert (found["acknowledged"], found["through_line"]) == (2, 3)
    assert [record.key for record in written()] == [b"a", b"b"]


def start(*words: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, "produce", *words, "--json"], stdin=stdin, stdout=subprocess.PIPE)


def test_an_interrupt_stops_cleanly_and_says_how_far_it_came() -> None:
    # Given a slow producer
    name = file(*(event(f"e{n}") for n in range(10_000)))
    process = start(name, "--rate", "100")
    deadline = time.monotonic() + 60
    while not written() and time.monotonic() < deadline:
        time.sleep(0.05)
    # When it is interrupted
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    # Then what it acknowledged is what is there, and going on misses and doubles nothing
    found = json.loads(out)
    assert (process.returncode, found["interrupted"]) == (130, True)
    assert 0 < found["acknowledged"] == found["through_line"] == len(written()) < 10_000
    rest = produce(name, "--skip", str(found["through_line"]))
    assert rest["acknowledged"] == 10_000 - found["acknowledged"]
    assert [record.key for record in written()] == [b"e%d" % n for n in range(10_000)]


def test_standard_input_is_sent_as_it_comes_until_a_line_is_wrong() -> None:
    process = start("-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    # Given a pipe that stays open: what came is sent
    process.stdin.write(event("a") + b"\n" + event("b") + b"\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while len(written()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(written()) == 2
    # When a line is wrong, Then it stops there
    process.stdin.write(event("c") + b"\nnonsense\n" + event("d") + b"\n")
    process.stdin.close()
    found = json.loads(process.stdout.read())
    process.stdout.close()
    assert process.wait(60) == 1
    assert (found["acknowledged"], found["through_line"], found["problems"][0]["line"]) == (3, 3, 4)
    assert [record.key for record in written()] == [b"a", b"b", b"c"]


def lines(*contents: bytes) -> list[Line | None]:
    return list(lines_of(contents, 0))


def test_what_the_stream_refuses_is_counted_by_line_and_the_rest_goes() -> None:
    broker, produced = MemoryBroker(), Produced()
    broker.max_record_bytes = 100
    given = lines(event("a"), event("b", label="x" * 200), b"", event("c"))
    send(given, MemorySink(broker), "t", key_of("id"), None, threading.Event(), produced, lambda n: None)
    assert (produced.sent, produced.acknowledged, produced.refused, produced.through) == (3, 2, 1, 4)
    assert list(produced.refusals) == [2]
    assert "larger than 100 bytes" in produced.refusals[2]
    assert [record.key for record in broker.records("t")] == [b"a", b"c"]


def test_a_stream_that_goes_away_leaves_the_last_line_that_is_sure() -> None:
    broker, produced, seen = MemoryBroker(), Produced(), list[int]()

    def away(n: int) -> None:
        seen.append(n)
        broker.down = True

    given = lines(*(event(f"e{n}") for n in range(1000)))
    with pytest.raises(StreamUnavailable):
        send(given, MemorySink(broker), "t", key_of("id"), None, threading.Event(), produced, away)
    assert (seen, produced.through, produced.acknowledged, len(broker.records("t"))) == ([500], 500, 500, 500)


def test_a_rate_is_not_exceeded() -> None:
    broker, produced, stop = MemoryBroker(), Produced(), threading.Event()
    given = lines(*(event(f"e{n}") for n in range(30)))
    started = time.monotonic()
    send(given, MemorySink(broker), "t", key_of("id"), 100.0, stop, produced, lambda n: None)
    assert time.monotonic() - started >= 0.29
    assert produced.acknowledged == 30
