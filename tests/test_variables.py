"""Given a variable that steers the tests, when one of them starts a daemon's code, then that does not see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_seed_for_the_fault_rounds_is_no_setting() -> None:
    # Given a seed for the fault rounds
    environment = {**os.environ, "RETAIND_CHAOS_SEED": "7"}
    # When tests run commands that read the configuration
    tests = "tests/cli/test_config_commands.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    # Then none is refused for a variable that nobody knows
    assert done.returncode == 0, done.stdout[-2000:]
