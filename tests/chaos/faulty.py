"""A strategy that is one of three faults, registered as a user would register one: by an entry point."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from strategies.base import BaseStrategy, Batch, Outputs, TrainContext
from strategies.catalog import Entry
from strategies.options import Options


class FaultOptions(Options):
    kind: Literal["nan", "hang", "memory"]
    """What goes wrong at the second step."""


class Fault(BaseStrategy):
    def __init__(self, options: FaultOptions) -> None:
        self._kind = options.kind

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        return FAULTS[self._kind](outputs) if context.step > 0 else None


def _hang(outputs: Outputs) -> Tensor | None:
    os.kill(os.getpid(), signal.SIGSTOP)
    return None


def _memory(outputs: Outputs) -> Tensor | None:
    held = []
    while True:
        held.append(torch.ones(8 << 20))


FAULTS = {"nan": lambda outputs: outputs.logits.sum() * float("nan"), "hang": _hang, "memory": _memory}
ENTRY = Entry(FaultOptions, "tests.chaos.faulty:Fault")


def install(directory: Path) -> str:
    """Metadata of a package that registers the strategy, under ``directory``; returns a PYTHONPATH."""
    info = directory / "faulty-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[retaind.strategies]\nfault = tests.chaos.faulty:ENTRY\n")
    return os.pathsep.join((str(directory), str(Path(__file__).parents[2])))
