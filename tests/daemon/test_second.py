"""Two daemons on one state directory: the second is refused by name, and touches nothing."""

from __future__ import annotations

import os
from pathlib import Path

from daemon.roles.lock import RoleLock
from tests.daemon.harness import Daemon


def test_given_a_daemon_on_a_directory_when_a_second_starts_then_it_is_refused_by_name(tmp_path: Path) -> None:
    # Given a directory that a daemon (this process) holds
    daemon = Daemon(tmp_path)
    with RoleLock(daemon.state, "run").acquire():
        marker = daemon.state / "metrics" / "counter.db"
        marker.parent.mkdir()
        marker.write_bytes(b"of the first")
        # When a second one starts
        process = daemon.start().process
        assert process is not None
        # Then it ends with status 1, names the holder, and leaves the first one's files alone
        assert process.wait(timeout=60) == 1
        assert str(os.getpid()) in daemon.tail()
        assert marker.read_bytes() == b"of the first"
        assert not (daemon.state / "run.json").exists()
