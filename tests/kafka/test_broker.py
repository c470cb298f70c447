"""The broker that the other tests stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.kafka.broker import Broker
from tests.kafka.fixtures import GIVEN, MakeTopic
from tests.kafka.topics import Topics

ROOT = Path(__file__).parents[2]
VALUES = [f"value {i}".encode() for i in range(100)]


def test_what_is_produced_can_be_read(topics: Topics, topic: MakeTopic) -> None:
    # Given a topic of three partitions
    name = topic("events", 3)
    # When records with keys and headers are produced
    at = topics.produce(name, VALUES, keys=[str(i).encode() for i in range(100)], headers=[("trace", b"1")])
    # Then each is read where it was acknowledged
    found = {(record.partition, record.offset): record for record in topics.read(name)}
    assert [found[place].value for place in at] == VALUES
    assert {partition for partition, _ in at} == {0, 1, 2}
    assert found[at[7]].key == b"7"
    assert found[at[7]].headers == (("trace", b"1"),)


def test_topics_of_one_test_share_a_prefix(topic: MakeTopic) -> None:
    first, second = topic("a"), topic("b")
    assert first.rpartition(".")[0] == second.rpartition(".")[0]
    assert first != second


def test_deleted_records_move_the_first_offset(topics: Topics, topic: MakeTopic) -> None:
    name = topic()
    topics.produce(name, VALUES)
    topics.delete_before(name, 40)
    assert topics.bounds(name) == {0: (40, 100)}
    assert [record.value for record in topics.read(name)] == VALUES[40:]


@pytest.mark.skipif(GIVEN in os.environ, reason="a broker that is given looks at retention when it likes")
def test_retention_by_size_moves_the_first_offset(topics: Topics, topic: MakeTopic) -> None:
    # Given a topic that keeps next to nothing, in segments of 0.1 s
    name = topic("kept", 1, {"retention.bytes": "1", "segment.ms": "100"})
    topics.produce(name, [bytes(1000)] * 20)
    # When a later record rolls the segment
    time.sleep(0.2)
    topics.produce(name, [b"last"])
    # Then the broker's own cleaning takes the first segment
    deadline = time.monotonic() + 60
    while topics.bounds(name)[0][0] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert topics.bounds(name)[0] == (20, 21)


@pytest.mark.slow
def test_acknowledged_records_outlive_a_kill(own_broker: Broker) -> None:
    # Given acknowledged records
    topics = Topics(own_broker.bootstrap)
    topics.create("kept", 2)
    topics.produce("kept", VALUES)
    # When the broker is killed and started
    own_broker.kill()
    assert not own_broker.running
    own_broker.start()
    # Then all of them are there, at the same address, and more are taken
    topics.produce("kept", VALUES)
    assert sorted(record.value or b"" for record in topics.read("kept")) == sorted(VALUES * 2)


@pytest.mark.slow
@pytest.mark.usefixtures("broker_jars")
def test_processes_of_one_run_share_a_broker_that_dies_with_their_parent(tmp_path: Path) -> None:
    # Given a parent and two processes of its own that want a broker at the same time
    child = (
        "import os, sys; from pathlib import Path; from tests.kafka.fixtures import STARTED, shared\n"
        "at = shared(Path(sys.argv[1]), os.getppid())\n"
        "sys.stdout.write(' '.join([at, *[str(broker.pid) for broker in STARTED]]) + '\\n')"  # one write: not mixed
    )
    parent = (
        "import subprocess, sys, time\n"
        "def start(): return subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]])\n"
        "print([p.wait() for p in [start(), start()]], flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", parent, str(tmp_path), child]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout is not None
    # When both have ended
    said = sorted((process.stdout.readline().split() for _ in range(3)), key=len)
    # Then one of them started the broker, the other used it, and it is still there
    assert [len(words) for words in said] == [1, 2, 2], said
    ((first,), (second, pid)) = [words for words in said if "[0," not in words]
    assert first == second
    broker = psutil.Process(int(pid))
    assert Topics(first).admin().close() is None
    # And it ends with the parent, and leaves nothing
    process.kill()
    process.communicate()
    psutil.wait_procs([broker], timeout=10)
    assert not broker.is_running()
    deadline = time.monotonic() + 10
    while (tmp_path / "kafka-broker").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_broker_dies_with_the_process_that_started_it(tmp_path: Path, broker_jars: str) -> None:
    # Given a test process that started a broker from a thread that has ended
    program = (
        "import sys, threading, time; from pathlib import Path; from tests.kafka.broker import Broker\n"
        "broker = Broker(Path(sys.argv[1])); thread = threading.Thread(target=broker.start); thread.start()\n"
        "thread.join(); print(broker.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout is not None
    broker = psutil.Process(int(process.stdout.readline()))
    assert "kafka.Kafka" in broker.cmdline()
    # When the process is killed
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # Then so is the broker
    psutil.wait_procs([broker], timeout=10)
    assert not broker.is_running()
