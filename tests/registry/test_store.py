"""The registry on files: crashes at every step, torn files, and the cheap look at an alias."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import CommandRefused, StoreCorrupt, UnsafeFile, VersionCorrupt, VersionError, VersionIncomplete
from daemon.registry.store import FileRegistry
from daemon.registry.version import MOVES
from tests.registry.contract import TASK, RegistryContract, meta, publish, stage


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "registry")


class TestFileRegistry(RegistryContract):
    pass


class Killed(BaseException):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """End at the ``step``-th call that touches the disk, before it is made."""
    left = [step]

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **keys: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return call(*args, **keys)

        return run

    for name in ("fsync", "replace", "rename"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))


def crashes(action: Callable[[int], None], check: Callable[[], None]) -> int:
    """Run ``action`` with a crash at step 0, 1, 2 … until it gets through; ``check`` after each."""
    for step in range(100):
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, step)
            try:
                action(step)
            except Killed:
                pass
            else:
                return step
        check()
    raise AssertionError("never got through")


def test_a_crash_in_a_publication_shows_no_half_version(tmp_path: Path) -> None:
    root = tmp_path / "registry"

    def action(step: int) -> None:
        FileRegistry(root).publish(stage(tmp_path / f"staging-{step}"), meta(), created=0.0)

    def check() -> None:
        # Then whatever is listed loads, and whatever else lies there is refused by name
        registry = FileRegistry(root)
        listed = [version.id for version in registry.versions()]
        for path in root.glob("0*"):
            if path.name in listed:
                registry.load(path.name)
            else:
                with pytest.raises(VersionIncomplete, match="no manifest"):
                    registry.load(path.name)

    assert crashes(action, check) > 10
    # And no number was given twice
    versions = FileRegistry(root).versions()
    assert len({version.id for version in versions}) == len(versions)


def test_a_crash_in_a_promotion_leaves_a_complete_champion(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    ids = [publish(FileRegistry(root), tmp_path).id for _ in range(3)]
    for version in ids[:2]:
        FileRegistry(root).promote(TASK, version, who="me", why="", time=0.0)

    def check() -> None:
        registry = FileRegistry(root)
        for name in ("champion", "previous"):
            assert registry.load(registry.alias(TASK, name) or "").id in ids
        assert registry.history()[-1].kind in ("promoted", "published")

    def promote(step: int) -> None:
        FileRegistry(root).promote(TASK, ids[2], who="me", why="", time=0.0)

    # When it is tried again after every crash
    assert crashes(promote, check) > 5
    # Then it stands, and the champion before it is the one to go back to
    registry = FileRegistry(root)
    assert registry.alias(TASK, "champion") == ids[2]
    assert registry.alias(TASK, "previous") in ids


def test_a_crash_in_promotions_and_a_rollback_leaves_a_complete_champion(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    ids = [publish(FileRegistry(root), tmp_path).id for _ in range(2)]

    def roll_back(step: int) -> None:
        for version in ids:
            FileRegistry(root).promote(TASK, version, who="me", why="", time=0.0)
        FileRegistry(root).rollback(TASK, who="me", why="", time=0.0)

    def check() -> None:
        registry = FileRegistry(root)
        champion = registry.alias(TASK, "champion")
        assert champion is None or registry.load(champion).id in ids

    crashes(roll_back, check)
    assert FileRegistry(root).alias(TASK, "champion") == ids[0]


@pytest.mark.parametrize("move", ["promote", "rollback"])
def test_a_move_that_a_crash_broke_off_is_finished_at_the_next_start_or_never_began(tmp_path: Path, move: str) -> None:
    root = tmp_path / "registry"
    first, second, third = (publish(FileRegistry(root), tmp_path).id for _ in range(3))
    seen = set()

    def act(step: int) -> None:
        # Given the second version served and the first to go back to
        registry = FileRegistry(root)
        registry.promote(TASK, first, who="me", why="", time=0.0)
        registry.promote(TASK, second, who="me", why="", time=0.0)
        # When it is broken off in a move
        if move == "promote":
            registry.promote(TASK, third, who="me", why="", time=0.0)
        else:
            registry.rollback(TASK, who="me", why="", time=0.0)

    def check() -> None:
        # Then after the next start both aliases are as the last move of the history says
        registry = FileRegistry(root)
        registry.settle(TASK)
        moves = [entry for entry in registry.history(TASK) if entry.kind in MOVES]
        if moves:
            assert registry.alias(TASK, "champion") == moves[-1].version
            before = moves[-1].details["from"]
            assert before in (None, moves[-1].version) or registry.alias(TASK, "previous") == before
            seen.add((registry.alias(TASK, "previous"), registry.alias(TASK, "champion")))

    crashes(act, check)
    assert (second, third if move == "promote" else first) in seen


def test_a_move_onto_a_damaged_version_is_not_finished(registry: FileRegistry, tmp_path: Path) -> None:
    # Given a promotion of which only the history entry was written
    first, second = publish(registry, tmp_path), publish(registry, tmp_path)
    registry.promote(TASK, first.id, who="me", why="", time=0.0)
    registry.record("promoted", TASK, second.id, who="me", why="", time=0.0, details={"from": first.id})
    # When its version is damaged
    (second.path / "labels.json").unlink()
    registry.settle(TASK)
    # Then what was served is served on
    assert registry.alias(TASK, "champion") == first.id


def test_a_rollback_to_itself_is_refused(registry: FileRegistry, tmp_path: Path) -> None:
    # Given aliases between which a crash stood
    first, second = publish(registry, tmp_path), publish(registry, tmp_path)
    registry.promote(TASK, first.id, who="me", why="", time=0.0)
    registry.promote(TASK, second.id, who="me", why="", time=0.0)
    aliases = tmp_path / "registry" / "aliases" / TASK
    (aliases / "previous.json").write_bytes((aliases / "champion.json").read_bytes())
    # Then going back says so instead of doing nothing
    with pytest.raises(CommandRefused, match="promote one by its id"):
        registry.rollback(TASK, who="me", why="", time=0.0)


def test_a_manifest_torn_at_any_byte_is_never_served(registry: FileRegistry, tmp_path: Path) -> None:
    made = publish(registry, tmp_path)
    manifest = made.path / "manifest.json"
    whole = manifest.read_bytes()
    for size in range(len(whole)):
        manifest.write_bytes(whole[:size])
        with pytest.raises((VersionIncomplete, VersionCorrupt)):
            registry.load(made.id)
        assert registry.versions() == []
    manifest.write_bytes(whole)
    assert registry.load(made.id) == made


@pytest.mark.parametrize("content", [b"[]", b"{}", b"null", b'{"id": "000001", "created": 0, "meta": {}, "files": {}}'])
def test_a_manifest_of_something_else_is_corrupt(registry: FileRegistry, tmp_path: Path, content: bytes) -> None:
    made = publish(registry, tmp_path)
    (made.path / "manifest.json").write_bytes(content)
    with pytest.raises(VersionCorrupt, match="manifest"):
        registry.load(made.id)


def test_a_manifest_naming_files_outside_is_refused(registry: FileRegistry, tmp_path: Path) -> None:
    made = publish(registry, tmp_path)
    manifest = made.path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"labels.json", b"../secret"))
    with pytest.raises(VersionError):
        registry.load(made.id)


def test_a_staging_directory_that_is_a_link_is_refused(registry: FileRegistry, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(stage(tmp_path / "staging"))
    with pytest.raises(UnsafeFile, match="directory of its own"):
        registry.publish(tmp_path / "link", meta(), created=0.0)


def test_a_pipe_with_an_allowed_name_is_refused(registry: FileRegistry, tmp_path: Path) -> None:
    staging = stage(tmp_path / "staging")
    os.mkfifo(staging / "weights.safetensors")
    with pytest.raises(UnsafeFile, match=r"weights\.safetensors"):
        registry.publish(staging, meta(), created=0.0)


def test_a_history_torn_at_any_byte_loses_only_its_last_line(registry: FileRegistry, tmp_path: Path) -> None:
    # Given three entries
    for number in range(3):
        registry.record("held", TASK, None, who="me", why=str(number), time=float(number))
    path = tmp_path / "registry" / "history.jsonl"
    whole = path.read_bytes()
    second = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for size in range(second, len(whole)):
        # When the last is torn
        path.write_bytes(whole[:size])
        torn = FileRegistry(tmp_path / "registry")
        assert [entry.why for entry in torn.history()] == ["0", "1"]
        # Then the next one takes its place, whole
        torn.record("released", TASK, None, who="me", why="3", time=3.0)
        assert [(entry.seq, entry.why) for entry in torn.history()] == [(1, "0"), (2, "1"), (3, "3")]


def test_a_damaged_line_of_the_history_is_named(registry: FileRegistry, tmp_path: Path) -> None:
    registry.record("held", TASK, None, who="me", why="", time=0.0)
    with (tmp_path / "registry" / "history.jsonl").open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(StoreCorrupt, match="line 2"):
        registry.history()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_a_damaged_alias_is_named(registry: FileRegistry, tmp_path: Path, content: bytes) -> None:
    registry.promote(TASK, publish(registry, tmp_path).id, who="me", why="", time=0.0)
    (tmp_path / "registry" / "aliases" / TASK / "champion.json").write_bytes(content)
    with pytest.raises(VersionCorrupt, match="alias champion of task 'support'"):
        registry.alias(TASK, "champion")
