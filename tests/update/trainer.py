"""A trainer that does what ``JOB/behaviour`` says: ``python -m tests.update.trainer JOB OUT``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(job: Path, out: Path) -> int:
    behaviour = (job / "behaviour").read_text()
    (out / "pid.tmp").write_text(str(os.getpid()))
    (out / "pid.tmp").rename(out / "pid")
    if behaviour == "ok":
        (out / "seen.json").write_text(json.dumps([os.nice(0), os.getpgrp() == os.getpid(), dict(os.environ)]))
        (out / "result.json").write_text("{}")
    elif behaviour == "hang":
        time.sleep(600)
    elif behaviour == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif behaviour == "hog":
        held = []
        while True:
            held.append(b"x" * (8 << 20))
            time.sleep(0.002)
    elif behaviour == "children":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (out / "child.tmp").write_text(str(child.pid))
        (out / "child.tmp").rename(out / "child")
        time.sleep(600)
    elif behaviour == "crash":
        raise RuntimeError("the cat sat on the keyboard")
    elif behaviour == "told":
        (out / "error.json").write_text(json.dumps({"reason": "non_finite", "error": "loss is nan at step 3"}))
        return 3
    return {"status 3": 3, "status 4": 4}.get(behaviour, 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
