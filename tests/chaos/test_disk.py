"""The disk is full, read-only, or gone: what a user sees, and that nothing acknowledged is lost."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

import apsw
import psutil
import pytest

from tests.chaos.disk import mounted
from tests.daemon.harness import Daemon, events

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

Make = Callable[..., Daemon]
QUIET = {"tasks": {"support": {"trigger": {"min_events": 1_000_000}}}, "learn": {"snapshot_s": 1}}


def offer(daemon: Daemon, count: int, acknowledged: list[str]) -> int | None:
    """Produce; the refusal's status, or None where it was acknowledged."""
    rows = events(count, start=len(acknowledged))
    try:
        daemon.produce(rows)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    acknowledged += [str(row["id"]) for row in rows]
    return None


def stored(daemon: Daemon) -> int:
    return int(daemon.get("/v1/status")["tasks"]["support"]["buffer"]["events"])


def everything(daemon: Daemon, acknowledged: list[str]) -> None:
    daemon.wait(lambda: stored(daemon) == len(acknowledged), 60, "everything stored")
    assert sorted(event["id"] for event in daemon.export()) == sorted(acknowledged)


def test_a_full_disk_refuses_new_events_answers_on_and_goes_on_when_there_is_room(
    tmp_path: Path, make_daemon: Make, rng: random.Random
) -> None:
    with mounted(tmp_path / "state", "200m") as disk:
        # Given a daemon that answers
        daemon, acknowledged = make_daemon(**QUIET).start().ready(), list[str]()
        offer(daemon, 40, acknowledged)
        daemon.wait(lambda: daemon.predict("I lost my card")["label"] == "card_lost", 60, "answered")
        # When the disk is full, for a while, twice; the second time the daemon is killed meanwhile
        for killed in (False, True):
            disk.fill()
            refused = None
            until = time.monotonic() + 60
            while refused is None and time.monotonic() < until:
                refused = offer(daemon, rng.randint(1, 50), acknowledged)
            # Then new events are refused with 503, what is served answers on, and metrics are told
            assert refused == 503
            for _ in range(20):
                assert daemon.predict("I lost my card")["label"] == "card_lost"
            assert "retaind_buffer_bytes" in daemon.metrics()
            assert daemon.get("/readyz")["ready"] is True
            if killed:
                daemon.kill()
            # And with room again everything goes on by itself
            disk.make_room()
            if killed:
                daemon.start().ready()
            daemon.wait(lambda: offer(daemon, 10, acknowledged) is None, 60, "taking events again")
            everything(daemon, acknowledged)
        assert daemon.stop() == 0


def test_on_a_disk_that_is_full_already_the_daemon_says_so_and_leaves_the_state_alone(
    tmp_path: Path, make_daemon: Make, rng: random.Random
) -> None:
    with mounted(tmp_path / "state", "200m") as disk:
        # Given state, and a disk that has filled up while the daemon was down
        daemon, acknowledged = make_daemon(**QUIET).start().ready(), list[str]()
        offer(daemon, rng.randint(20, 60), acknowledged)
        everything(daemon, acknowledged)
        assert daemon.stop() == 0
        disk.fill()
        # When it is started, then it ends with one line that names the place and the mend
        process = daemon.start().process
        assert process is not None
        assert process.wait(timeout=120) == 1
        last = daemon.tail().splitlines()[-1]
        assert last.startswith("retaind: ")
        assert str(daemon.state) in last
        assert "make room" in last
        # And with room everything is there
        disk.make_room()
        daemon.start().ready()
        everything(daemon, acknowledged)


def test_a_read_only_state_directory_is_refused_by_name_and_left_alone(
    tmp_path: Path, make_daemon: Make, rng: random.Random
) -> None:
    with mounted(tmp_path / "state", "200m") as disk:
        # Given state, on a disk that is mounted read-only since
        daemon, acknowledged = make_daemon(**QUIET).start().ready(), list[str]()
        offer(daemon, rng.randint(20, 60), acknowledged)
        everything(daemon, acknowledged)
        assert daemon.stop() == 0
        disk.remount("ro")
        # When it is started, then it ends with one line that names the place and the mend
        process = daemon.start().process
        assert process is not None
        assert process.wait(timeout=120) == 1
        last = daemon.tail().splitlines()[-1]
        assert last.startswith("retaind: ")
        assert str(daemon.state) in last
        assert "Read-only file system" in last
        # And mounted to write again everything is there
        disk.remount("rw")
        daemon.start().ready()
        everything(daemon, acknowledged)


def test_a_write_that_fails_makes_ingest_wait_and_lose_nothing(make_daemon: Make, rng: random.Random) -> None:
    # Given a daemon, of which ingest may make no file larger any longer (its own limit, not the disk's)
    daemon, acknowledged = make_daemon(**QUIET).start().ready(), list[str]()
    offer(daemon, 20, acknowledged)
    daemon.wait(lambda: stored(daemon) == 20, 60, "stored")
    daemon.wait(lambda: daemon.predict("I lost my card")["label"] == "card_lost", 60, "answered")
    ingest = psutil.Process(daemon.pids()["ingest"])
    ingest.rlimit(resource.RLIMIT_FSIZE, (16384, resource.RLIM_INFINITY))
    # When events come
    for _ in range(5):
        assert offer(daemon, rng.randint(1, 40), acknowledged) is None
    daemon.wait(lambda: "disk_full" in daemon.log.read_text(), 60, "told")
    # Then it waits, the same process, and answers go on
    assert stored(daemon) == 20
    assert daemon.pids()["ingest"] == ingest.pid
    assert ingest.is_running()
    assert daemon.predict("I lost my card")["label"] == "card_lost"
    # And when it may write again, everything is stored
    ingest.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    everything(daemon, acknowledged)


def test_a_registry_that_goes_away_changes_nothing_that_is_served(
    tmp_path: Path, make_daemon: Make, rng: random.Random
) -> None:
    # Given a daemon that answers
    daemon, acknowledged = make_daemon(**QUIET).start().ready(), list[str]()
    offer(daemon, 40, acknowledged)
    daemon.wait(lambda: daemon.predict("I lost my card")["label"] == "card_lost", 60, "answered")
    version = daemon.predict("I lost my card")["version"]
    # When an empty disk lies over the registry, as where a volume came off, and labels go on coming
    with mounted(daemon.state / "registry", "8m") as disk:
        until = time.monotonic() + 5 + rng.random()
        while time.monotonic() < until:
            offer(daemon, 5, acknowledged)
            answer = daemon.predict("I lost my card")
            # Then what was served answers on
            assert (answer["label"], answer["version"]) == ("card_lost", version)
            time.sleep(0.1)
        # And nobody makes a registry of another history there
        assert [path.name for path in disk.path.rglob("*.json*")] == []
    # And once it is back, all goes on
    daemon.wait(
        lambda: daemon.predict("I lost my card")["labels_seen"] >= len(acknowledged) - 5, 90, "labels learnt again"
    )
    everything(daemon, acknowledged)
    assert daemon.cli("versions", "show", version)["id"] == version


def test_a_damaged_buffer_is_refused_by_name_and_left_as_it_is(make_daemon: Make, rng: random.Random) -> None:
    # Given state, and pages of the buffer overwritten while the daemon was down
    daemon, acknowledged = make_daemon(**QUIET).start().ready(), list[str]()
    offer(daemon, 400, acknowledged)
    everything(daemon, acknowledged)
    assert daemon.stop() == 0
    path = daemon.state / "buffer.sqlite"
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM events").get == 400
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    data = bytearray(path.read_bytes())
    data[100:4096] = rng.randbytes(3996)  # the page on which the schema stands
    path.write_bytes(data)
    # When it is started, then the log names file and mend, again and again with growing pauses
    daemon.start()
    daemon.wait(lambda: daemon.log.read_text().count(f"{path}: damaged") > 0, 60, "told")
    assert "restore it from a backup" in daemon.tail()
    assert daemon.stop() == 0
    # And the file is as it was, and the doctor says the same
    assert path.read_bytes() == bytes(data)
    command = [sys.executable, "-m", "daemon.cli", "doctor", "--config", str(daemon.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert f"fail  stores     {path}: damaged" in done.stdout
