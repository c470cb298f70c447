"""The log: what becomes of a role whose log cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOGGING = """
import structlog
from daemon.logs import configure_logs
configure_logs()
for number in range(3000):
    structlog.get_logger("role").warning("told", number=number, text="x" * 100)
print("went on")
"""


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    # Given standard error on a disk that is full
    with Path("/dev/full").open("wb") as full:
        # When a role logs
        done = subprocess.run([sys.executable, "-c", LOGGING], stdout=subprocess.PIPE, stderr=full, check=False)
    # Then it goes on
    assert done.stdout == b"went on\n"
