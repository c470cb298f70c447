"""Python, packages, SQLite, the clock: what is told of a machine that is well, and of one that is not."""

from __future__ import annotations

from importlib import metadata

import pytest

from daemon.doctor import machine


def test_an_old_python_is_refused_with_the_mend() -> None:
    (old,), (new,) = machine.python((3, 10, 4)), machine.python((3, 13, 0))
    assert (old.status, old.says, old.mend[:21]) == ("fail", "Python 3.10.4", "install Python 3.11 o")
    assert (new.status, new.mend) == ("ok", "")


def test_packages_are_compared_with_what_retaind_requires(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given all as installed, then one too old and one missing
    (well,) = machine.packages()
    real = metadata.version

    def version(name: str) -> str:
        if name == "click":
            raise metadata.PackageNotFoundError(name)
        return "3.40.1" if name == "apsw" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    ill = list(machine.packages())
    # Then both are named with what is needed
    assert well.status == "ok"
    assert "packages as required" in well.says
    assert [(finding.status, finding.says) for finding in ill] == [
        ("fail", "apsw 3.40.1, needs >=3.51.3"),
        ("fail", "click missing, needs >=8.1"),
    ]


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("3.40.1", "fail"),
        ("3.44.5", "fail"),
        ("3.44.6", "ok"),
        ("3.45.0", "fail"),
        ("3.50.6", "fail"),
        ("3.50.7", "ok"),
        ("3.51.2", "fail"),
        ("3.51.3", "ok"),
        ("3.54.1", "ok"),
    ],
)
def test_a_sqlite_with_the_wal_reset_bug_is_refused(version: str, status: str) -> None:
    (finding,) = machine.sqlite(version)
    assert finding.status == status
    assert version in finding.says
    assert ("install apsw" in finding.mend) == (status == "fail")


def test_a_clock_that_stands_before_retaind_was_made_is_wrong() -> None:
    (wrong,), (right,) = machine.clock_set(0.0), machine.clock_set(2e9)
    assert (wrong.status, wrong.mend) == ("fail", "set the clock (NTP)")
    assert "1970-01-01" in wrong.says
    assert right.status == "ok"
