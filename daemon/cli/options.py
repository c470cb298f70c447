"""The options that every command has: ``--config``, ``--set``, ``--json``; and ``--task``.

::

    @click.command()
    @common
    def status(options: Options) -> None:
        '''One line. ... Example: ...'''
        loaded = options.load()
        options.emit({"pid": 1}, "running")
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.errors import ConfigError, RetaindError

if TYPE_CHECKING:
    from daemon.config.load import Loaded
    from daemon.config.models import Config
    from daemon.config.task import TaskConfig

DEFAULT_FILE = Path("config.yaml")
FILE_VARIABLE = "RETAIND_CONFIG"


@dataclass(frozen=True, slots=True)
class Options:
    """``file``: of ``--config`` or RETAIND_CONFIG, None where neither was given."""

    file: Path | None
    sets: tuple[str, ...]
    json: bool

    def load(self) -> Loaded:
        """The configuration. Without ``--config``: ``config.yaml`` of the current directory, where it is there.

        Raises ConfigError. Names of strategies and their options are checked by ``daemon.app``.
        """
        return self._load(self.sets)

    def defaults(self, task: str) -> TaskConfig:
        """What a task that the configuration does not name would get."""
        return self._load((*self.sets, f"tasks.{task}={{}}")).config.tasks[task]

    def _load(self, sets: Sequence[str]) -> Loaded:
        from daemon.config.load import load

        file = self.file
        if file is None and DEFAULT_FILE.is_file():
            file = DEFAULT_FILE
        try:
            return load(file, sets, os.environ)
        except ConfigError as error:
            if file is None:
                raise ConfigError(f"{error}\n(there is no {DEFAULT_FILE} here; --config FILE names another)") from None
            raise

    def emit(self, document: Mapping[str, Any], text: str) -> None:
        """Print the one result of a command: the document with ``--json``, else the text."""
        click.echo(json.dumps(document, ensure_ascii=False) if self.json else text)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options; ``command`` gets them as its first argument ``options``.

    With ``--json`` a failure is one document too: ``{"error": ..., "message": ...}``.
    """

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=FILE_VARIABLE,
        metavar="FILE",
        help="Configuration file [default: config.yaml, if it is there].",
    )
    @click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override one key; may be repeated.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")
    @functools.wraps(command)
    def run(*args: Any, config_file: Path | None, sets: tuple[str, ...], as_json: bool, **kwargs: Any) -> Any:
        try:
            return command(Options(config_file, sets, as_json), *args, **kwargs)
        except RetaindError as error:
            if as_json:
                click.echo(json.dumps({"error": type(error).__name__, "message": str(error)}, ensure_ascii=False))
            raise

    return run


def task_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--task NAME``; the command gets ``task: str | None`` and gives it to :func:`one_task`."""
    return click.option("--task", metavar="NAME", help="May be left out while one task is configured.")(command)


def one_task(config: Config, name: str | None) -> str:
    """The task that is meant. Raises ConfigError when it is not configured or not clear."""
    if name is None:
        if len(config.tasks) == 1:
            return next(iter(config.tasks))
        raise ConfigError(f"--task: {len(config.tasks)} tasks are configured, name one of: {', '.join(config.tasks)}")
    if name not in config.tasks:
        raise ConfigError(f"--task {name}: not configured; tasks: {', '.join(config.tasks)}")
    return name
