"""Where everything durable lives: the names inside ``state_dir``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StatePaths:
    root: Path

    @property
    def buffer(self) -> Path:
        """Events, positions, outbox. Written by ingest."""
        return self.root / "buffer.sqlite"

    @property
    def stream(self) -> Path:
        """The embedded stream's records and group positions."""
        return self.root / "stream.sqlite"

    @property
    def control(self) -> Path:
        """Commands and their outcomes."""
        return self.root / "control.sqlite"

    @property
    def troubles(self) -> Path:
        """What keeps ingest from reading, while it does. Written by ingest."""
        return self.root / "ingest.json"

    @property
    def registry(self) -> Path:
        """Versions, aliases, history. Written by the learner."""
        return self.root / "registry"

    @property
    def heads(self) -> Path:
        """Live HeadStates: ``heads/TASK/VERSION/``. Written by the learner."""
        return self.root / "heads"

    @property
    def jobs(self) -> Path:
        """Frozen update jobs and what their attempts left. Written by the learner."""
        return self.root / "jobs"

    @property
    def trust(self) -> Path:
        """What is believed of each source, and the labels held back: ``trust/TASK.json``. Written by the learner."""
        return self.root / "trust"

    @property
    def metrics(self) -> Path:
        """prometheus-client's multiprocess files; gone at the next start."""
        return self.root / "metrics"

    def head(self, task: str, version: str) -> Path:
        return self.heads / task / version

    def ledger(self, task: str) -> Path:
        return self.trust / f"{task}.json"

    def make(self) -> None:
        for directory in (self.root, self.registry, self.heads, self.jobs):
            directory.mkdir(parents=True, exist_ok=True)
