"""What is served: the base encoder, and the versions that the aliases name. Hashes are verified."""

from __future__ import annotations

from collections.abc import Iterator

from daemon.doctor.finding import Patient
from daemon.errors import RetaindError
from daemon.finding import Finding, Status
from daemon.models.base import PACKAGE, is_local, resolve_base
from daemon.registry.store import FileRegistry
from daemon.registry.version import Alias

OFFLINE = "HF_HUB_OFFLINE"
TRUE = ("1", "true", "yes", "on")


def base(patient: Patient) -> Iterator[Finding]:
    """Is each task's base encoder there, and what it should be? Nothing is fetched."""
    models = {task.model.base: task.model for task in patient.config.tasks.values()}
    for name, model in models.items():
        found = resolve_base(model, fetch=False)
        yield Finding("ok", f"{name}: SHA-256 {found.sha256[:12]}… in {found.path}")


def offline(patient: Patient) -> Iterator[Finding]:
    """May a start reach the network?"""
    hub = sorted({task.model.base for task in patient.config.tasks.values() if not is_local(task.model.base)})
    if patient.environ.get(OFFLINE, "0").lower() in TRUE:
        yield Finding("ok", f"{OFFLINE} is set: nothing is fetched")
    elif hub:
        yield Finding(
            "warn",
            f"{OFFLINE} is not set, and {', '.join(hub)} is fetched from Hugging Face where it is not cached",
            f"set {OFFLINE}=1 once it is cached, or name a directory or {PACKAGE}NAME in model.base",
        )
    else:
        yield Finding("ok", "every base encoder is local: nothing is fetched")


def aliases(patient: Patient) -> Iterator[Finding]:
    """Does each alias name a complete version, and is every file of it what its manifest says?"""
    there = patient.paths.registry.is_dir()
    registry = FileRegistry(patient.paths.registry) if there else None
    for task in patient.config.tasks:
        if registry is None or not (patient.paths.registry / "aliases" / task / "champion.json").exists():
            yield Finding("ok", f"{task}: no version yet; the learner makes the first one")
            continue
        yield _alias(registry, task, "champion", "fail", "retaind rollback, or restore it from a backup")
        if (patient.paths.registry / "aliases" / task / "previous.json").exists():
            yield _alias(registry, task, "previous", "warn", "a rollback would be refused; promote a version by its id")


def _alias(registry: FileRegistry, task: str, alias: Alias, else_: Status, mend: str) -> Finding:
    try:
        version = str(registry.alias(task, alias))
        registry.load(version)
    except RetaindError as error:
        return Finding(else_, f"{task}: {alias}: {error}", mend)
    return Finding("ok", f"{task}: {alias} {version}, every hash verified")
