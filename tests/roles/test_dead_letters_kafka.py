"""Dead letters on Apache Kafka: a topic that is denied, missing, or takes less than we do; and the way back."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from daemon.app import Rooms, make_ingest
from daemon.cli import cli
from daemon.config.load import load
from daemon.roles.ingest import IngestRole
from daemon.roles.troubles import read_troubles
from tests.kafka.fixtures import MakeTopic
from tests.kafka.secure import PASSWORD, USER, SecureBroker
from tests.kafka.topics import Topics

EVENT = {"id": "a", "task": "support", "time": "2026-01-01T00:00:00Z", "text": "hi", "label": "x"}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(labelled: str, letters: str, **kafka: Any) -> Rooms:
    """Written as a file, so that commands find it."""
    stream = {
        "kind": "kafka",
        "inputs": [{"topic": labelled}],
        "outputs": {"dead_letters": letters},
        "kafka": {"group_id": labelled, **kafka},
    }
    config = {"state_dir": "./state", "stream": stream, "tasks": {"support": {}}}
    Path("config.yaml").write_text(json.dumps(config))
    return Rooms.make(load(Path("config.yaml"), [], {}).config)


def ingest(rooms: Rooms) -> IngestRole:
    return make_ingest(rooms, rooms.ends.member(list(rooms.decoders()), "ingest"), rooms.ends.sink())


def step_until(role: IngestRole, done: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        role.step(0.1)


def ids(rooms: Rooms) -> list[str]:
    with closing(rooms.reader()) as reader:
        return [event.id for event in reader.export()]


def waiting(rooms: Rooms) -> int:
    with closing(rooms.reader()) as reader:
        return reader.outbox_size().letters


def run(*words: str, status: int = 0) -> Any:
    result = CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
def test_letters_that_the_topic_is_too_small_for_go_as_references_and_the_others_come_back(
    kafka: str, topics: Topics, topic: MakeTopic
) -> None:
    # Given a dead-letter topic that takes less than ours do, and a file that is partly wrong
    labelled, letters = topic("labelled"), topic("letters", configs={"max.message.bytes": "20000"})
    rooms = configure(labelled, letters, bootstrap_servers=[kafka])
    lines = [json.dumps(EVENT), json.dumps({**EVENT, "id": "b", "task": "later"}), "n" * 50_000, "nonsense"]
    Path("events.jsonl").write_text("\n".join(lines))
    assert run("produce", "events.jsonl", status=1)["problem_count"] == 3
    assert run("produce", "events.jsonl", "--no-check")["acknowledged"] == 4
    # When it is ingested
    role = ingest(rooms)
    step_until(role, lambda: len(topics.read(letters)) == 3 and waiting(rooms) == 0)
    assert ids(rooms) == ["a"]
    # Then what the broker refused is there as a reference, in its own words
    listed = run("dlq", "list")
    assert (listed["reasons"], listed["complete"]) == ({"not_json": 2, "unknown_task": 1}, True)
    (large,) = [item for item in listed["letters"] if item["reference"]]
    assert (large["place"], large["size_bytes"]) == (f"{labelled}:0:2", 50_000)
    headers = {item["name"]: item["value"] for item in run("dlq", "show", large["place"])["headers"]}
    assert letters in headers["retaind.refused"]
    # When the cause of another is mended and it is sent back, Then it is stored
    role.close()
    config = json.loads(Path("config.yaml").read_text())
    config["tasks"]["later"] = {}
    Path("config.yaml").write_text(json.dumps(config))
    sent = run("dlq", "replay", "--reason", "unknown_task")
    assert (sent["acknowledged"], sent["by_topic"]) == (1, {labelled: 1})
    rooms = Rooms.make(load(Path("config.yaml"), [], {}).config)
    role = ingest(rooms)
    step_until(role, lambda: "b" in ids(rooms))
    role.close()
    back = topics.read(labelled)[-1]
    assert dict(back.headers) == {"retaind.origin": f"{labelled}:0:1".encode(), "retaind.replayed": b"1"}
    assert back.time_ms == topics.read(labelled)[1].time_ms


@pytest.mark.slow
def test_a_denied_dead_letter_topic_pauses_reading_at_the_budget_until_it_is_granted(
    secure_broker: SecureBroker, tmp_path: Path
) -> None:
    # Given a dead-letter topic that we may not write, and more letters than the outbox may hold
    name, root = uuid.uuid4().hex[:8], Topics(secure_broker.bootstrap)
    labelled, letters = f"in.{name}", f"letters.{name}"
    root.create(labelled)
    root.create(letters)
    denial = ACL(
        f"User:{USER}", "*", ACLOperation.WRITE, ACLPermissionType.DENY, ResourcePattern(ResourceType.TOPIC, letters)
    )
    with closing(root.admin()) as admin:
        admin.create_acls([denial])
    (tmp_path / "password").write_text(PASSWORD)
    rooms = configure(
        labelled,
        letters,
        bootstrap_servers=[secure_broker.address("SASL_PLAINTEXT")],
        security_protocol="SASL_PLAINTEXT",
        sasl={"kind": "plain", "username": USER, "password_file": str(tmp_path / "password")},
    )
    config = json.loads(Path("config.yaml").read_text())
    config["buffer"] = {"outbox_max_bytes": 1 << 16}
    Path("config.yaml").write_text(json.dumps(config))
    rooms = Rooms.make(load(Path("config.yaml"), [], {}).config)
    root.produce(labelled, [b"bad %d " % n + b"x" * 10_000 for n in range(10)])
    # When they are ingested
    role = ingest(rooms)
    step_until(role, lambda: role.paused is not None and "cannot be written" in role.paused)
    # Then reading pauses with the topic and the mend in its reason, in the status too, and nothing is lost
    root.produce(labelled, [orjson.dumps(EVENT)])
    began = time.monotonic()
    while time.monotonic() - began < 8:
        role.step(0.1)
    assert ids(rooms) == []
    assert waiting(rooms) == 10
    assert letters in (role.paused or "")
    assert "grant" in (role.paused or "")
    assert run("status")["ingest"]["troubles"].keys() >= {"outbox_full", "dead_letters_wait"}
    listed = run("dlq", "list", status=1)  # who has some ACL has no right that none grants: it cannot be read either
    assert (listed["outbox"]["letters"], listed["matching"]) == (10, 0)
    assert "grant" in listed["error"]
    # When it is granted, Then it goes on by itself: the source kept its partition, each letter is there
    with closing(root.admin()) as admin:
        admin.delete_acls([denial])
    step_until(role, lambda: ids(rooms) == ["a"] and waiting(rooms) == 0)
    assert [int((letter.value or b"").split()[1]) for letter in root.read(letters)] == list(range(10))
    assert read_troubles(rooms.paths.troubles) == {}
    role.close()
