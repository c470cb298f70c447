"""The state directory: what is told of one that is well, and of each way in which it is not."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from daemon.buffer.sqlite import SqliteBufferWriter
from daemon.config.signature import check_signature
from daemon.doctor import state
from daemon.errors import SignatureMismatch
from daemon.registry.store import FileRegistry
from daemon.roles.lock import RoleLock
from tests.doctor.patients import only, patient, told

Usage = namedtuple("Usage", "total used free")


def test_a_directory_that_is_not_there_yet_is_looked_at_by_its_place_and_not_made(tmp_path: Path) -> None:
    finding = only("state_dir", patient(tmp_path / "a" / "b"))
    assert finding.status == "ok"
    assert finding.says == f"{tmp_path} can be written and synced; {tmp_path}/a/b is made at the first start"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_told_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    finding = only("state_dir", patient(tmp_path))
    assert finding.status == "fail"
    assert finding.says == f"{tmp_path} cannot be written: No space left on device"
    assert finding.mend.startswith("make room, mount it writable")


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "file_system", lambda path: "nfs4")
    finding = only("state_dir", patient(tmp_path))
    assert finding.status == "fail"
    assert "network file system (nfs4)" in finding.says
    assert "local disk" in finding.mend


@pytest.mark.parametrize(("free", "status"), [(1 << 20, "fail"), (2 << 30, "warn"), (1 << 40, "ok")])
def test_free_disk_is_compared_with_an_update_and_with_what_may_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 41, 0, free))
    finding = only("disk", patient(tmp_path))
    assert finding.status == status
    assert "an update needs 0.3" in finding.says
    assert ("make room" in finding.mend) == (status != "ok")


def test_state_of_another_configuration_is_told_with_the_difference_and_left(tmp_path: Path) -> None:
    # Given a directory made under another seed of the split
    before = only("signature", patient(tmp_path))
    check_signature(tmp_path, patient(tmp_path, "tasks.support.split.seed=7").config)
    content = (tmp_path / "signature.json").read_bytes()
    # Then it is refused by key and value, and not written
    assert (before.status, before.says) == ("ok", "nothing is stored yet")
    with pytest.raises(SignatureMismatch, match=r"tasks\.support\.split\.seed is 0, was 7"):
        told("signature", patient(tmp_path))
    assert (tmp_path / "signature.json").read_bytes() == content
    assert only("signature", patient(tmp_path, "tasks.support.split.seed=7")).status == "ok"


def test_who_holds_a_role_is_named(tmp_path: Path) -> None:
    assert only("locks", patient(tmp_path)).says == "no daemon runs on this state directory"
    with RoleLock(tmp_path, "ingest").acquire():
        assert f"ingest: process {os.getpid()} on " in only("locks", patient(tmp_path)).says
        with pytest.raises(Exception, match="held by process"):  # the look did not let it go
            RoleLock(tmp_path, "ingest").acquire()
    assert only("locks", patient(tmp_path)).says == "no daemon runs on this state directory"


def test_a_damaged_buffer_is_told_with_the_mend(tmp_path: Path) -> None:
    # Given a buffer
    of = patient(tmp_path)
    assert only("stores", of).says == "no buffer yet; ingest makes it"
    SqliteBufferWriter(of.paths.buffer, of.config.tasks, of.config.buffer, of.clock).close()
    assert only("stores", of).says == "buffer.sqlite is whole, 0.00 GiB"
    # When pages in its middle are overwritten
    data = bytearray(of.paths.buffer.read_bytes())
    data[3 * 4096 : 9 * 4096] = b"\xff" * (6 * 4096)
    of.paths.buffer.write_bytes(data)
    # Then it is damaged, and what to do stands there
    finding = only("stores", of)
    assert finding.status == "fail"
    assert finding.says.startswith("buffer.sqlite is damaged: ")
    assert "restore it from a backup" in finding.mend


def test_a_clock_that_went_back_is_told(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path / "registry")
    registry.record("held", "support", None, who="test", why="", time=2e9)
    behind, right = only("history", patient(tmp_path, now=1.9e9)), only("history", patient(tmp_path, now=2e9 + 1))
    assert (behind.status, behind.says) == ("warn", "the clock is 100000000 s behind the registry's last entry")
    assert "NTP" in behind.mend
    assert right.status == "ok"
