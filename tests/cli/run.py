"""The command line as a process of its own, as users meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from daemon.cli import main; main()"]


def retaind(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``retaind`` in ``cwd`` with none of this process's RETAIND_ variables."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RETAIND_")}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**clean, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def document(result: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on standard output."""
    assert result.stdout.count("\n") == 1, result.stdout
    return json.loads(result.stdout)
