"""What every bench gives: one headline, its rows, and on what they were measured.

Ways of doing the same are measured interleaved, a round of each in turn and every round in another order,
so that whatever else the machine does meets all of them; a row tells the median.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

Row = dict[str, Any]


def document(
    headline: float, unit: str, rows: Sequence[Row], *, packages: Sequence[str], **facts: object
) -> dict[str, Any]:
    """``unit``: what the headline counts; ``packages``: whose versions matter; ``facts``: sizes, checks."""
    return {
        "headline": headline,
        "unit": unit,
        **facts,
        "rows": list(rows),
        "machine": machine(),
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def machine() -> str:
    """Processor, how many of them, and the system's kernel."""
    return f"{_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}"


def interleave(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each way gave in each round. Round n begins with the n-th way, so that none is always first."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in shown(range(rounds), "measuring"):
        turn = number % len(names)
        for name in [*names[turn:], *names[:turn]]:
            found[name].append(ways[name]())
    return found


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def shown(steps: Sequence[Any], what: str) -> Any:
    """``steps`` with a progress bar on standard error, where that is a terminal."""
    return track(steps, what, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()
