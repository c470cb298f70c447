"""The registry on a file system.

::

    registry/
      000001/ 000002/ …            versions (daemon.registry.version)
      aliases/TASK/champion.json   {"version": "000002"}, replaced atomically
      history.jsonl                append-only

Guarantees: those of :class:`daemon.registry.version.Registry`. Order of a publication: files are checked
in the staging directory, which is renamed to the version's id; all is synced, and the manifest written last.
Order of a promotion: the history entry (from which ``settle`` goes on), ``previous``, then ``champion``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import structlog

from daemon.durable import sha256, sync_path, sync_tree, write_atomically
from daemon.errors import CommandRefused, UnknownVersion, VersionCorrupt, VersionError, VersionIncomplete
from daemon.registry.files import list_files
from daemon.registry.history import History
from daemon.registry.version import MOVES, Alias, HistoryEntry, Version, VersionMeta

log = structlog.get_logger(__name__)

MANIFEST = "manifest.json"
_ID = re.compile(r"[0-9]{6,12}")
_TASK = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class FileRegistry:
    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self._history = History(root / "history.jsonl")

    # -- versions -------------------------------------------------------------------------------

    def publish(self, staging: Path, meta: VersionMeta, *, created: float) -> Version:
        files = list_files(staging)
        if "labels.json" not in files:
            raise VersionIncomplete(f"{staging.name}: labels.json is missing; a version names its classes")
        digests = {name: sha256(path) for name, path in files.items()}
        version_id = self._next_id()
        target = self._root / version_id
        shutil.move(staging, target)
        sync_tree(target)
        manifest = {"id": version_id, "created": created, "meta": asdict(meta), "files": digests}
        data = orjson.dumps(manifest, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2)
        write_atomically(target / MANIFEST, data)
        sync_path(self._root)
        self.record("published", meta.task, version_id, who="retaind", why="", time=created)
        return Version(version_id, created, meta, digests, target)

    def load(self, version: str) -> Version:
        found = self._read(version)
        present = list_files(found.path, passing=(MANIFEST, f".{MANIFEST}.tmp"))
        missing = sorted(set(found.files) - set(present))
        if missing:
            raise VersionIncomplete(f"version {version}: {missing[0]} is missing; restore it or roll back")
        for name, path in present.items():
            try:
                digest = sha256(path)
            except FileNotFoundError:
                raise VersionIncomplete(f"version {version}: {name} went while it was read; is it deleted?") from None
            if found.files.get(name) != digest:
                raise VersionCorrupt(
                    f"version {version}: {name} is not what its manifest says; restore it or roll back"
                )
        return found

    def versions(self, task: str | None = None) -> Sequence[Version]:
        found = []
        for path in sorted(self._root.iterdir(), key=lambda path: path.name.zfill(12)):
            if _ID.fullmatch(path.name) and (path / MANIFEST).is_file():
                try:
                    version = self._read(path.name)
                except VersionError:  # damaged, or deleted meanwhile: not a complete version
                    continue
                if task is None or version.meta.task == task:
                    found.append(version)
        return found

    def _read(self, version: str) -> Version:
        if _ID.fullmatch(version) is None:
            raise UnknownVersion(f"version {version!r}: must be a number such as 000042; see `retaind versions list`")
        path = self._root / version
        if not path.is_dir():
            raise UnknownVersion(f"version {version!r} is not in the registry; see `retaind versions list`")
        try:
            data = (path / MANIFEST).read_bytes()
        except FileNotFoundError:
            raise VersionIncomplete(f"version {version}: has no manifest, its publication did not finish") from None
        try:
            manifest = orjson.loads(data)
            meta = VersionMeta(**manifest["meta"])
            made = Version(manifest["id"], manifest["created"], meta, manifest["files"], path)
        except (ValueError, TypeError, KeyError) as error:
            raise VersionCorrupt(f"version {version}: its manifest is not readable: {error}") from error
        if made.id != version:
            raise VersionCorrupt(f"version {version}: its manifest says {made.id}")
        return made

    def _next_id(self) -> str:
        """One more than any id ever used, also of versions that are gone or never finished."""
        used = [int(path.name) for path in self._root.iterdir() if _ID.fullmatch(path.name)]
        used += [int(entry.version or 0) for entry in self._history.entries() if _ID.fullmatch(entry.version or "")]
        return f"{max(used, default=0) + 1:06d}"

    # -- aliases --------------------------------------------------------------------------------

    def alias(self, task: str, name: Alias) -> str | None:
        try:
            return str(orjson.loads(self._alias_path(task, name).read_bytes())["version"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise VersionCorrupt(
                f"alias {name} of task {task!r} is not readable ({error}): promote a version"
            ) from error

    def promote(
        self,
        task: str,
        version: str,
        *,
        who: str,
        why: str,
        time: float,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self._check_task(task, version)
        before = self.alias(task, "champion")
        self.record("promoted", task, version, who=who, why=why, time=time, details={**(details or {}), "from": before})
        if before is not None and before != version:
            self._set_alias(task, "previous", before)
        self._set_alias(task, "champion", version)

    def rollback(self, task: str, *, who: str, why: str, time: float, details: Mapping[str, Any] | None = None) -> str:
        previous, champion = self.alias(task, "previous"), self.alias(task, "champion")
        if previous is None or champion is None:
            raise CommandRefused(f"task {task!r} has no previous version to roll back to; promote one by its id")
        if previous == champion:
            raise CommandRefused(f"task {task!r}: previous and champion are both {champion}; promote one by its id")
        self._check_task(task, previous)
        said = {**(details or {}), "from": champion}
        self.record("rolled_back", task, previous, who=who, why=why, time=time, details=said)
        self._set_alias(task, "champion", previous)
        self._set_alias(task, "previous", champion)
        return previous

    def settle(self, task: str) -> None:
        last = next((entry for entry in reversed(self.history(task)) if entry.kind in MOVES), None)
        if last is None or last.version is None:
            return
        before = last.details.get("from")
        wanted: dict[Alias, str] = {"champion": last.version}
        if before is not None and before != last.version:
            wanted = {"previous": str(before), "champion": last.version}
        if all(self._alias_or_none(task, name) == version for name, version in wanted.items()):
            return
        try:
            for version in wanted.values():
                self._check_task(task, version)
        except VersionError as error:
            log.error("promotion_not_finished", task=task, version=last.version, error=str(error))
            return
        for name, version in wanted.items():
            self._set_alias(task, name, version)
        log.warning("promotion_finished", task=task, version=last.version, kind=last.kind)

    def _alias_or_none(self, task: str, name: Alias) -> str | None:
        try:
            return self.alias(task, name)
        except VersionCorrupt:
            return None

    def _check_task(self, task: str, version: str) -> None:
        owner = self.load(version).meta.task
        if owner != task:
            raise CommandRefused(f"version {version} belongs to task {owner!r}, not {task!r}")

    def _set_alias(self, task: str, name: Alias, version: str) -> None:
        path = self._alias_path(task, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, orjson.dumps({"version": version}))

    def _alias_path(self, task: str, name: Alias) -> Path:
        if _TASK.fullmatch(task) is None:
            raise UnknownVersion(f"task {task!r}: not a task's name")
        return self._root / "aliases" / task / f"{name}.json"

    # -- history --------------------------------------------------------------------------------

    def record(
        self,
        kind: str,
        task: str,
        version: str | None,
        *,
        who: str,
        why: str,
        time: float,
        details: Mapping[str, Any] | None = None,
    ) -> HistoryEntry:
        entries = self._history.entries()
        seq = entries[-1].seq + 1 if entries else 1
        entry = HistoryEntry(seq, time, kind, task, version, who, why, dict(details or {}))
        self._history.append(entry)
        return entry

    def history(self, task: str | None = None, version: str | None = None) -> Sequence[HistoryEntry]:
        return [
            entry
            for entry in self._history.entries()
            if task in (None, entry.task) and version in (None, entry.version)
        ]

    def retain(self, task: str, keep: int) -> Sequence[str]:
        versions = self.versions(task)
        kept = {version.id for version in versions[max(0, len(versions) - keep) :]}
        kept |= {alias for alias in (self.alias(task, "champion"), self.alias(task, "previous")) if alias is not None}
        kept |= {version.meta.parent for version in versions if version.id in kept and version.meta.parent}
        gone = []
        for version in versions:
            if version.id not in kept:
                (version.path / MANIFEST).unlink()
                shutil.rmtree(version.path)
                self.record(
                    "deleted", task, version.id, who="retaind", why="retention", time=self._history.entries()[-1].time
                )
                gone.append(version.id)
        return gone
