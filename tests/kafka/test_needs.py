"""``make kafka-needs``: only a CI's root may install, and a person is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("needs.sh")
INSTALLS = 'echo "apt-get $*" >>"$ASKED"; [ "$1" = update ] || { cp "$LATER"/* "$(dirname "$0")"; }'
JAVA = "echo 'openjdk version \"{}.0.15\" 2025-04-15' >&2"


class Machine:
    """A PATH of our own making, and what the script asked of apt-get there."""

    def __init__(self, directory: Path) -> None:
        self.path, self.later, self.asked = directory / "bin", directory / "later", directory / "asked"
        self.path.mkdir()
        self.later.mkdir()
        for name in ("sh", "sed", "cat", "cp", "dirname"):
            found = shutil.which(name)
            assert found is not None
            (self.path / name).symlink_to(found)
        self.program("apt-get", INSTALLS)
        self.program("java", JAVA.format(17), self.later)
        self.program("mvn", "true", self.later)

    def program(self, name: str, body: str, directory: Path | None = None) -> None:
        file = (directory or self.path) / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def run(self, *, user: int, **environment: str) -> subprocess.CompletedProcess[str]:
        self.program("id", f"echo {user}")
        settings = {"PATH": str(self.path), "ASKED": str(self.asked), "LATER": str(self.later), **environment}
        return subprocess.run(["sh", SCRIPT], env=settings, capture_output=True, text=True, check=False, timeout=30)

    def installed(self) -> str:
        return self.asked.read_text() if self.asked.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nothing_is_done_where_both_are_there(machine: Machine) -> None:
    shutil.copytree(machine.later, machine.path, dirs_exist_ok=True)
    done = machine.run(user=0, CI="true")
    assert (done.returncode, done.stderr, machine.installed()) == (0, "", "")


def test_nothing_is_done_where_a_broker_is_given(machine: Machine) -> None:
    done = machine.run(user=0, CI="true", RETAIND_TEST_KAFKA="localhost:9092")
    assert (done.returncode, machine.installed()) == (0, "")


@pytest.mark.parametrize("old", [None, 11])
def test_ci_installs_what_is_missing_or_too_old(machine: Machine, old: int | None) -> None:
    if old is not None:
        machine.program("java", JAVA.format(old))
    done = machine.run(user=0, CI="true")
    assert done.returncode == 0, done.stderr
    assert "install -qq -y --no-install-recommends openjdk-17-jre-headless maven" in machine.installed()


@pytest.mark.parametrize(("user", "ci"), [(0, ""), (1000, ""), (1000, "true"), (0, "false")])
def test_anyone_else_is_told_and_nothing_is_installed(machine: Machine, user: int, ci: str) -> None:
    done = machine.run(user=user, CI=ci)
    assert done.returncode == 1
    assert "Java >= 17 and Maven" in done.stderr
    assert machine.installed() == ""


def test_ci_fails_where_the_installed_java_is_still_too_old(machine: Machine) -> None:
    machine.program("java", JAVA.format(11), machine.later)
    assert machine.run(user=0, CI="true", HOME=os.environ["HOME"]).returncode == 1
