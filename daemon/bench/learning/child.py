"""One trial in a process of its own, so that its CPU seconds and its peak memory are its own:
``python -m daemon.bench.learning.child TRIAL OUT``."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from daemon.bench.learning.plan import Kind, Trial
from daemon.errors import RetaindError

RUNNERS: Mapping[Kind, str] = {
    "ours": "daemon.bench.learning.ours",
    "avalanche": "daemon.bench.learning.avalanche",
    "joint": "daemon.bench.learning.joint",
    "shots": "daemon.bench.learning.shots",
}
"""Each has ``run(trial, history) -> dict``."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}


class TrialFailed(RetaindError):
    """A trial's process ended without a result."""


def measure(trial: Trial) -> dict[str, Any]:
    """What the trial found. Raises TrialFailed with the last lines that it wrote."""
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        told, out = Path(directory) / "trial.json", Path(directory) / "out.json"
        told.write_bytes(trial.dump())
        command = [sys.executable, "-m", "daemon.bench.learning.child", str(told), str(out)]
        ended = subprocess.run(
            command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, errors="replace", check=False
        )
        if ended.returncode or not out.is_file():
            last = "\n".join(ended.stderr.strip().splitlines()[-5:])
            raise TrialFailed(f"{trial.name}, seed {trial.seed}: ended with status {ended.returncode}: {last}")
        found: dict[str, Any] = orjson.loads(out.read_bytes())
        return found


def main(told: Path, out: Path) -> None:
    import logging

    import torch

    from daemon.backtest.report import peak_rss_bytes
    from daemon.bench.learning.history import History
    from daemon.logs import configure_logs

    configure_logs(level=logging.WARNING)
    torch.set_num_threads(1)
    trial = Trial.load(told.read_bytes())
    history = History.read(Path(trial.stream), Path(trial.holdout), trial.task)
    found = importlib.import_module(RUNNERS[trial.kind]).run(trial, history)
    out.write_bytes(orjson.dumps({"peak_rss_bytes": peak_rss_bytes(), **found}, option=orjson.OPT_SERIALIZE_NUMPY))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
