"""What lies in the state directory: can it be written, is it of this configuration, who holds it, is it whole?"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from daemon.buffer.schema import open_to_read
from daemon.config.head import NoHead
from daemon.config.signature import compare_signature
from daemon.config.task import TaskConfig
from daemon.doctor.finding import Patient
from daemon.finding import Finding
from daemon.registry.history import History
from daemon.roles.lock import holder
from daemon.sqlite import read_only, translated
from daemon.update.freeze import BYTES_PER_ROW, MAX_VALIDATION_ROWS, SPARE_BYTES

LOCKS = ("run", "ingest", "learn")
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs"})
"""File systems on which SQLite's write-ahead log is not safe."""
POOL_RATIO = 4
"""Rows that a strategy may ask of history, per new event: an estimate."""
CLOCK_SLACK_S = 60.0


def writable(patient: Patient) -> Iterator[Finding]:
    """Can the state directory (or, before the first start, its place) be written and synced?"""
    place = _place(patient.paths.root)
    made = "" if place == patient.paths.root else f"; {patient.paths.root} is made at the first start"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-") as probe:
            probe.write(b"probe")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        yield Finding(
            "fail",
            f"{place} cannot be written: {error.strerror}",
            "make room, mount it writable, give it to the user that runs retaind, or set state_dir",
        )
        return
    kind = file_system(place)
    if kind in NETWORK:
        yield Finding(
            "fail",
            f"{place} lies on a network file system ({kind}), where SQLite's write-ahead log is not safe",
            "set state_dir to a local disk or a block volume",
        )
    else:
        yield Finding("ok", f"{place} can be written and synced{made}")


def disk(patient: Patient) -> Iterator[Finding]:
    """Is there room for an update now, and for all that the configuration lets grow?"""
    config, place = patient.config, _place(patient.paths.root)
    free = shutil.disk_usage(place).free
    version = max((_size(path) for path in patient.paths.registry.glob("[0-9]*")), default=0)
    update = max(_update_bytes(task) for task in config.tasks.values()) + 4 * version
    topics = {item.topic for item in config.stream.inputs} | set(config.stream.outputs.model_dump().values())
    grow = max(0, config.buffer.max_bytes - _size(patient.paths.buffer))
    if config.stream.kind == "embedded":
        grow += max(0, len(topics) * config.stream.embedded.retention_bytes - _size(patient.paths.stream))
    told = f"{_gib(free)} free; an update needs {_gib(update)}, buffer and stream may grow by {_gib(grow)}"
    if free < update:
        yield Finding("fail", told, "make room, or lower update.max_new_events and head.refit_max_events")
    elif free < update + grow:
        yield Finding("warn", told, "make room, or lower buffer.max_bytes and stream.embedded.retention_bytes")
    else:
        yield Finding("ok", told)


def signature(patient: Patient) -> Iterator[Finding]:
    """Was the state made under this configuration? Raises SignatureMismatch with the differences."""
    compare_signature(patient.paths.root, patient.config)
    known = (patient.paths.root / "signature.json").exists()
    yield Finding("ok", "the state was made under this configuration" if known else "nothing is stored yet")


def locks(patient: Patient) -> Iterator[Finding]:
    """Who holds the roles?"""
    held = {name: who for name in LOCKS if (who := holder(patient.paths.root, name)) is not None}
    told = "; ".join(f"{name}: {who}" for name, who in held.items())
    yield Finding("ok", told or "no daemon runs on this state directory")


def stores(patient: Patient) -> Iterator[Finding]:
    """Is every SQLite file whole (``PRAGMA quick_check``)? A buffer of gigabytes takes a while."""
    paths = patient.paths
    for path in (paths.buffer, paths.stream, paths.control):
        if not path.exists():
            continue
        with translated(path):
            connection = open_to_read(path) if path == paths.buffer else read_only(path)
            try:
                found = [str(line) for (line,) in connection.execute("PRAGMA quick_check(3)")]
            finally:
                connection.close()
        if found == ["ok"]:
            yield Finding("ok", f"{path.name} is whole, {_gib(_size(path))}")
        else:
            yield Finding(
                "fail",
                f"{path.name} is damaged: {'; '.join(found)}",
                "stop the daemon and restore it from a backup, or move it away to start anew",
            )
    if not paths.buffer.exists():
        yield Finding("ok", "no buffer yet; ingest makes it")


def clock_against_state(patient: Patient) -> Iterator[Finding]:
    """Did the clock go back behind what is recorded?"""
    entries = History(patient.paths.registry / "history.jsonl").entries()
    behind = (entries[-1].time if entries else 0.0) - patient.clock.now()
    if behind > CLOCK_SLACK_S:
        yield Finding(
            "warn", f"the clock is {behind:.0f} s behind the registry's last entry", "set the clock (NTP); see history"
        )
    else:
        yield Finding("ok", "the clock is not behind what is recorded")


def file_system(path: Path) -> str:
    """The type of the file system that ``path`` lies on; empty where it is not known."""
    parts = [part for part in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(part.mountpoint)]
    return str(max(parts, key=lambda part: len(part.mountpoint)).fstype) if parts else ""


def _place(root: Path) -> Path:
    """``root``, or the nearest directory above it that is there."""
    return next(path for path in (root.absolute(), *root.absolute().parents) if path.is_dir())


def _update_bytes(task: TaskConfig) -> int:
    new = task.update.max_new_events
    refit = 0 if isinstance(task.head, NoHead) else task.head.refit_max_events
    return ((1 + POOL_RATIO) * new + refit + task.gate.max_rows + MAX_VALIDATION_ROWS) * BYTES_PER_ROW + SPARE_BYTES


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
