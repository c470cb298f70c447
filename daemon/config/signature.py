"""What a state directory was made under, so that an incompatible configuration is refused at start.

``state_dir/signature.json`` holds, for every task that ever ran there, what its stored events, split and
versions depend on. Not in it: what an update may change from one version to the next (``tune``, ``head``,
``strategies``, ``training``, ``gate``, ``model.max_tokens``).

Guarantee S1: :func:`check_signature` either raises, or leaves a signature that covers every task of the
configuration. The file is replaced atomically and by one process at a time, so that several roles and commands
may check at once, the first time too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daemon.config.models import Config
from daemon.config.task import TaskConfig
from daemon.durable import alone, write_atomically
from daemon.errors import SchemaTooNew, SignatureMismatch, StoreCorrupt

FILE = "signature.json"
FORMAT = 1

TaskSignature = Mapping[str, Any]


def signature(config: Config) -> Mapping[str, TaskSignature]:
    """task -> dotted key below the task -> value, for every task of the configuration."""
    return {name: _of_task(task) for name, task in config.tasks.items()}


def _of_task(task: TaskConfig) -> TaskSignature:
    return {
        "type": task.type,
        "model.base": task.model.base,
        "model.sha256": task.model.sha256,
        "split.by": task.split.by,
        "split.seed": task.split.seed,
        "split.validation_ratio": task.split.validation_ratio,
        "split.holdout_ratio": task.split.holdout_ratio,
    }


def check_signature(state_dir: Path, config: Config) -> None:
    """Compare the configuration with what ``state_dir`` was made under; write it where it is new.

    A task that is new joins the signature; one that left the configuration stays in it, since its state does.
    Raises SignatureMismatch with every difference and the mend, StoreCorrupt, or SchemaTooNew.
    """
    if not _lacking(state_dir, config):
        return
    state_dir.mkdir(parents=True, exist_ok=True)
    with alone(state_dir):
        merged = _lacking(state_dir, config)
        if merged:
            _write(state_dir / FILE, merged)


def _lacking(state_dir: Path, config: Config) -> Mapping[str, TaskSignature]:
    """The signature with every task of the configuration; empty where the stored one has them."""
    stored, wanted = compare_signature(state_dir, config)
    merged = {**stored, **{name: _kept(stored.get(name, {}), task) for name, task in wanted.items()}}
    return {} if merged == stored else merged


def compare_signature(
    state_dir: Path, config: Config
) -> tuple[Mapping[str, TaskSignature], Mapping[str, TaskSignature]]:
    """The stored signature and the configuration's; writes nothing. Errors as in :func:`check_signature`."""
    stored = _read(state_dir / FILE)
    wanted = signature(config)
    differences = [line for name in wanted if name in stored for line in _differences(name, stored[name], wanted[name])]
    if differences:
        raise SignatureMismatch(
            f"{'; '.join(differences)}: {state_dir} was made under another configuration. "
            "Restore these values, or give another state_dir to start anew"
        )
    return stored, wanted


def _differences(name: str, stored: TaskSignature, wanted: TaskSignature) -> Iterator[str]:
    for key, value in wanted.items():
        before = stored.get(key, value)
        if before == value or (key == "model.sha256" and not (before and value)):
            continue
        yield f"tasks.{name}.{key} is {value!r}, was {before!r}"


def _kept(stored: TaskSignature, wanted: TaskSignature) -> TaskSignature:
    """``wanted``, with a hash that was known already kept where none is configured now."""
    return {**wanted, "model.sha256": wanted["model.sha256"] or stored.get("model.sha256", "")}


def _read(path: Path) -> dict[str, TaskSignature]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise StoreCorrupt(f"{path}: is not JSON; restore it from a backup of the state directory") from None
    found = document.get("format") if isinstance(document, dict) else None
    if not isinstance(found, int) or not isinstance(document.get("tasks"), dict):
        raise StoreCorrupt(f"{path}: is not a signature; restore it from a backup of the state directory")
    if found > FORMAT:
        raise SchemaTooNew(f"{path}: format {found} was written by a newer retaind (this one reads {FORMAT}); upgrade")
    return dict(document["tasks"])


def _write(path: Path, tasks: Mapping[str, TaskSignature]) -> None:
    text = json.dumps({"format": FORMAT, "tasks": tasks}, indent=2, sort_keys=True)
    write_atomically(path, f"{text}\n".encode())
