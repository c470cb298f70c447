"""Backtests: labelled history through the real rooms, faster than real time. ``play`` plays, ``holdout`` and ``points``
measure what would have been served, ``report`` says it (docs/reference/backtest.md)."""

from daemon.backtest.play import Backtest, Options
from daemon.backtest.reading import read_events
from daemon.backtest.report import dump

__all__ = ["Backtest", "Options", "dump", "read_events"]
