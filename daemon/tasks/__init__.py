"""What can be learned. ``TASKS`` names each type; its torch half is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from daemon.errors import ConfigError

if TYPE_CHECKING:
    from daemon.tasks.base import Task

TASKS: dict[str, str] = {"sequence": "daemon.tasks.sequence:SequenceTask"}
"""type -> ``module:class``."""


def get_task(type: str) -> Task:  # noqa: A002 - the name of the key in config.yaml
    """Raises ConfigError for a type there is not."""
    target = TASKS.get(type)
    if target is None:
        raise ConfigError(f"type: {type!r} is no task type; allowed: {', '.join(sorted(TASKS))}")
    module, _, name = target.partition(":")
    task: Task = getattr(importlib.import_module(module), name)()
    return task
