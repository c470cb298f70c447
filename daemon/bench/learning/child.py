"""Trials in a process of their own: ``python -m daemon.bench.learning.child TRIALS OUT``. One alone has its CPU seconds
and its peak memory to itself; several share what is imported, and the peak."""

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

from daemon.bench.learning.plan import Kind, Trial, dump, load
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
    """A process of trials ended without a result."""


def measure(*trials: Trial) -> list[dict[str, Any]]:
    """What each trial found, one after the other in one process. Raises TrialFailed with the last lines that it
    wrote."""
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        told, out = Path(directory) / "trials.json", Path(directory) / "out.json"
        told.write_bytes(dump(trials))
        command = [sys.executable, "-m", "daemon.bench.learning.child", str(told), str(out)]
        ended = subprocess.run(
            command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, errors="replace", check=False
        )
        if ended.returncode or not out.is_file():
            last = "\n".join(ended.stderr.strip().splitlines()[-5:])
            names = ", ".join(f"{trial.name} (seed {trial.seed})" for trial in trials)
            raise TrialFailed(f"{names}: ended with status {ended.returncode}: {last}")
        found: list[dict[str, Any]] = orjson.loads(out.read_bytes())
        return found


def main(told: Path, out: Path) -> None:
    import logging

    import torch

    from daemon.backtest.report import peak_rss_bytes
    from daemon.bench.learning.history import History
    from daemon.logs import configure_logs

    configure_logs(level=logging.WARNING)
    torch.set_num_threads(1)
    found = []
    for trial in load(told.read_bytes()):
        history = History.read(Path(trial.stream), Path(trial.holdout), trial.task)
        result = importlib.import_module(RUNNERS[trial.kind]).run(trial, history)
        found.append({"peak_rss_bytes": peak_rss_bytes(), **result})
    out.write_bytes(orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
