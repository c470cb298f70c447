"""The jobs of one task on disk: which are unfinished, which attempt is complete.

``jobs/ID/`` holds the frozen job, ``jobs/ID/out/attempt-N/`` what its attempts left, and
``jobs/ID/done.json`` says that its outcome is in the history.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog

from daemon.durable import write_atomically
from daemon.errors import TrainingError
from daemon.update.job import ROWS, UpdateJob, read_job, read_rows

log = structlog.get_logger(__name__)


class JobShelf:
    """The directory of all jobs, numbered across tasks like versions."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def next_id(self) -> str:
        taken = [int(path.name) for path in self._root.glob("[0-9]*") if path.name.isdigit()]
        return f"{max(taken, default=0) + 1:06d}"

    def directory(self, job_id: str) -> Path:
        return self._root / job_id

    def out(self, job_id: str) -> Path:
        return self._root / job_id / "out"

    def unfinished(self, task: str) -> Sequence[UpdateJob]:
        """Complete jobs without an outcome, oldest first. Directories that a crash left half made go."""
        found = []
        for path in sorted(self._root.iterdir()):
            if not (path / "job.json").is_file():
                shutil.rmtree(path, ignore_errors=True)
            elif not (path / "done.json").exists():
                job = self._read(path)
                if job is not None and job.task == task:
                    found.append(job)
        return found

    def _read(self, path: Path) -> UpdateJob | None:
        """A job whose manifest is damaged is closed, not trained; its rows are checked by the trainer."""
        try:
            return read_job(path, verify=False)
        except TrainingError as error:
            log.error("job_damaged", job=path.name, error=str(error))
            self.finish(path.name, {"error": str(error)})
            return None

    def complete_attempt(self, job_id: str) -> Path | None:
        """The first attempt that ended with a result."""
        attempts = sorted(self.out(job_id).glob("attempt-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        return next((path for path in attempts if (path / "result.json").is_file()), None)

    def events(self, job_id: str) -> set[str]:
        """The ids of all events that the job holds; none of a damaged one, which no trainer takes either."""
        directory = self.directory(job_id)
        try:
            return {event.id for name in ROWS for event in read_rows(directory, name)}
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("job_damaged", job=job_id, error=str(error))
            return set()

    def finish(self, job_id: str, outcome: Mapping[str, Any]) -> None:
        """Mark the job done and drop its rows (its manifest, progress and outcome stay)."""
        directory = self.directory(job_id)
        write_atomically(directory / "done.json", orjson.dumps(outcome, option=orjson.OPT_SERIALIZE_NUMPY))
        for path in directory.glob("*.jsonl"):
            path.unlink()
        for name in ("parent", "fast"):
            shutil.rmtree(directory / name, ignore_errors=True)
        for attempt in self.out(job_id).glob("attempt-*/version"):
            shutil.rmtree(attempt, ignore_errors=True)
