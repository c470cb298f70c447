"""``make bench``: a command with a broker of its own, which ends with it.

The command finds it by ``RETAIND_STREAM__KAFKA__BOOTSTRAP_SERVERS``. Where no broker can be started the command runs
without one, and that is said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kafka import jars
from tests.kafka.broker import Broker


def main(command: list[str]) -> int:
    """Returns the command's exit status."""
    if (lacking := jars.lacking()) is not None:
        print(f"no broker: {lacking}", file=sys.stderr)  # noqa: T201 - a command line
        return subprocess.call(command)
    with tempfile.TemporaryDirectory(prefix="retaind-broker-") as directory, Broker(Path(directory)) as broker:
        servers = json.dumps([broker.bootstrap])
        return subprocess.call(command, env={**os.environ, "RETAIND_STREAM__KAFKA__BOOTSTRAP_SERVERS": servers})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
