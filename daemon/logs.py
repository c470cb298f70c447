"""Structured logs of ours on standard error, one JSON object a line; third parties only from warnings on."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from typing import TextIO

import structlog


class _Unstoppable(io.StringIO):
    """A log that cannot be written (its disk is full, its reader gone) loses lines; it stops no role."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


def configure_logs(level: int = logging.INFO) -> None:
    """Call once per process, before anything else is imported that logs."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format='{"logger":"%(name)s","event":"%(message)s"}')
    logging.captureWarnings(True)
    warnings.simplefilter("ignore", DeprecationWarning)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=_Unstoppable(sys.stderr)),
        cache_logger_on_first_use=False,
    )
