from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from daemon.errors import LockHeld
from daemon.roles.lock import RoleLock

HOLD = (
    "import sys,time,pathlib; from daemon.roles.lock import RoleLock; "
    "l=RoleLock(pathlib.Path(sys.argv[1]),'ingest').acquire(); print('held',flush=True); time.sleep(60)"
)


def test_a_second_holder_is_refused_by_name(tmp_path: Path) -> None:
    with RoleLock(tmp_path, "ingest").acquire():
        with pytest.raises(LockHeld, match=rf"process {os.getpid()} on .* since .*--standby"):
            RoleLock(tmp_path, "ingest").acquire()
        RoleLock(tmp_path, "learn").acquire().release()
    RoleLock(tmp_path, "ingest").acquire().release()


def test_a_standby_takes_over_when_the_holder_is_killed(tmp_path: Path) -> None:
    # Given another process that holds the lock
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        taken = threading.Event()

        def wait() -> None:
            with RoleLock(tmp_path, "ingest").acquire(standby=True):
                taken.set()

        # When one stands by, it waits; when the holder is killed, it has the lock
        thread = threading.Thread(target=wait)
        thread.start()
        assert not taken.wait(0.4)
        holder.send_signal(signal.SIGKILL)
        assert taken.wait(5)
        thread.join()


def test_a_standby_that_is_stopped_says_so(tmp_path: Path) -> None:
    stop = threading.Event()
    with RoleLock(tmp_path, "ingest").acquire():
        threading.Timer(0.1, stop.set).start()
        start = time.monotonic()
        with pytest.raises(LockHeld, match="stopped"):
            RoleLock(tmp_path, "ingest").acquire(standby=True, stop=stop)
        assert time.monotonic() - start < 2
