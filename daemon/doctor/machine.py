"""What this machine is, whatever the configuration: Python, packages, SQLite, the clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from importlib import metadata

import apsw
from packaging.requirements import Requirement

from daemon.finding import Finding

DISTRIBUTION = "retaind"
PYTHON = (3, 11)
MADE = 1_795_478_400.0
"""2026-11-24: a clock before it stands wrong, since retaind is younger."""
FIXED = (((3, 44, 6), (3, 45, 0)), ((3, 50, 7), (3, 51, 0)), ((3, 51, 3), (4, 0, 0)))
"""Versions of SQLite, from (included) to (excluded), without the WAL-reset bug that corrupts a database
(https://sqlite.org/wal.html#walresetbug)."""


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Iterator[Finding]:
    """Is Python new enough?"""
    name = ".".join(map(str, version))
    if version < PYTHON:
        yield Finding("fail", f"Python {name}", "install Python 3.11 or newer and install retaind there")
    else:
        yield Finding("ok", f"Python {name}")


def packages(distribution: str = DISTRIBUTION) -> Iterator[Finding]:
    """Is every package that retaind requires installed, in a version that it accepts?"""
    try:
        required = [Requirement(line) for line in metadata.requires(distribution) or ()]
    except metadata.PackageNotFoundError:
        yield Finding("warn", f"{distribution} is not installed as a package", "run make install")
        return
    asked = [need for need in required if need.marker is None or need.marker.evaluate()]
    wrong = 0
    for need in asked:
        try:
            found = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found == "missing" or not need.specifier.contains(found, prereleases=True):
            wrong += 1
            yield Finding("fail", f"{need.name} {found}, needs {need.specifier}", "run make install")
    if not wrong:
        yield Finding("ok", f"{distribution} {metadata.version(distribution)}, {len(asked)} packages as required")


def sqlite(version: str = apsw.sqlite_lib_version()) -> Iterator[Finding]:
    """Is SQLite free of the bug that corrupts databases in WAL mode?"""
    numbers = tuple(int(part) for part in version.split("."))
    if any(first <= numbers < end for first, end in FIXED):
        yield Finding("ok", f"SQLite {version}")
    else:
        yield Finding(
            "fail",
            f"SQLite {version} has the WAL-reset bug, which can corrupt the buffer",
            "install apsw 3.51.3 or newer (it brings its own SQLite)",
        )


def clock_set(now: float | None = None) -> Iterator[Finding]:
    """Can the time be true at all?"""
    now = time.time() if now is None else now
    told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if now < MADE:
        yield Finding("fail", f"the clock says {told}, before retaind was made", "set the clock (NTP)")
    else:
        yield Finding("ok", f"the clock says {told}")
