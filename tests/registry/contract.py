"""What every registry holds. Derive, and give the fixture ``registry``."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import CommandRefused, UnknownVersion, UnsafeFile, VersionCorrupt, VersionIncomplete
from daemon.registry.version import Registry, Version, VersionMeta

TASK = "support"


def meta(task: str = TASK, **changes: object) -> VersionMeta:
    return VersionMeta(task, "sequence", "base", "0" * 64, 128, **changes)  # type: ignore[arg-type]


def stage(directory: Path, content: str = "weights") -> Path:
    """The files of a version, as a trainer leaves them."""
    for name, text in {
        "labels.json": '["a", "b"]',
        "head.safetensors": content,
        "adapter/adapter_config.json": "{}",
        "adapter/adapter_model.safetensors": content,
        "tokenizer/tokenizer.json": "{}",
    }.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def publish(registry: Registry, tmp_path: Path, task: str = TASK, **changes: object) -> Version:
    return registry.publish(stage(tmp_path / "staging"), meta(task, **changes), created=5.0)


class RegistryContract:
    def test_a_version_is_what_was_staged(self, registry: Registry, tmp_path: Path) -> None:
        # When a version is published
        made = publish(registry, tmp_path, cursor=7, metrics={"loss": 0.5})
        # Then it loads as it was made, and the staging directory is taken
        assert registry.load(made.id) == made
        assert (made.id, made.created, made.meta.cursor, made.meta.metrics) == ("000001", 5.0, 7, {"loss": 0.5})
        assert "adapter/adapter_model.safetensors" in made.files
        assert not (tmp_path / "staging").exists()

    def test_ids_count_across_tasks(self, registry: Registry, tmp_path: Path) -> None:
        ids = [publish(registry, tmp_path, task).id for task in ("one", "two", "one")]
        assert ids == ["000001", "000002", "000003"]
        assert [version.id for version in registry.versions("one")] == ["000001", "000003"]
        assert [version.id for version in registry.versions()] == ids

    @pytest.mark.parametrize(
        "name",
        ["model.pkl", "head.bin", "code.py", "adapter/x.json", "fast/x.pt", "strategy/x.json", "tokenizer/a/b.json"],
    )
    def test_other_files_are_refused(self, registry: Registry, tmp_path: Path, name: str) -> None:
        staging = stage(tmp_path / "staging")
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_text("x")
        with pytest.raises(UnsafeFile, match="not a file that a version may have"):
            registry.publish(staging, meta(), created=0.0)
        assert registry.versions() == []

    def test_links_are_refused(self, registry: Registry, tmp_path: Path) -> None:
        staging = stage(tmp_path / "staging")
        (staging / "weights.safetensors").symlink_to("/etc/hostname")
        with pytest.raises(UnsafeFile, match="is a link"):
            registry.publish(staging, meta(), created=0.0)

    @pytest.mark.parametrize("version", ["", "1", "../000001", "000001/..", "latest", "٠٠٠٠٠١", "000009", "0" * 13])
    def test_what_is_not_a_version_is_unknown(self, registry: Registry, tmp_path: Path, version: str) -> None:
        publish(registry, tmp_path)
        with pytest.raises(UnknownVersion, match="version "):
            registry.load(version)

    def test_a_changed_file_is_corrupt(self, registry: Registry, tmp_path: Path) -> None:
        made = publish(registry, tmp_path)
        (made.path / "head.safetensors").write_text("Weights")
        with pytest.raises(VersionCorrupt, match=r"head\.safetensors"):
            registry.load(made.id)

    def test_a_missing_file_is_incomplete_and_a_further_one_refused(self, registry: Registry, tmp_path: Path) -> None:
        made = publish(registry, tmp_path)
        (made.path / "strategy").mkdir()
        (made.path / "strategy" / "ewc.safetensors").write_text("x")
        with pytest.raises(VersionCorrupt, match=r"ewc\.safetensors"):
            registry.load(made.id)
        (made.path / "labels.json").unlink()
        with pytest.raises(VersionIncomplete, match=r"labels\.json"):
            registry.load(made.id)

    def test_promotion_and_rollback_swap_the_aliases(self, registry: Registry, tmp_path: Path) -> None:
        # Given two versions, promoted one after the other
        first, second = publish(registry, tmp_path), publish(registry, tmp_path)
        assert registry.alias(TASK, "champion") is None
        registry.promote(TASK, first.id, who="gate", why="better", time=1.0)
        with pytest.raises(CommandRefused, match="no previous version"):
            registry.rollback(TASK, who="me", why="bad", time=2.0)
        registry.promote(TASK, second.id, who="gate", why="better", time=3.0)
        assert (registry.alias(TASK, "champion"), registry.alias(TASK, "previous")) == (second.id, first.id)
        # When it is rolled back
        assert registry.rollback(TASK, who="me", why="bad", time=4.0) == first.id
        # Then they have changed places, and the history says who and why
        assert (registry.alias(TASK, "champion"), registry.alias(TASK, "previous")) == (first.id, second.id)
        last = registry.history(TASK)[-1]
        assert (last.kind, last.version, last.who, last.why, last.time) == ("rolled_back", first.id, "me", "bad", 4.0)

    def test_a_registry_at_rest_is_left_as_it_is(self, registry: Registry, tmp_path: Path) -> None:
        registry.settle(TASK)
        first, second = publish(registry, tmp_path), publish(registry, tmp_path)
        registry.promote(TASK, first.id, who="gate", why="", time=1.0)
        registry.promote(TASK, second.id, who="gate", why="", time=2.0)
        registry.promote(TASK, second.id, who="me", why="held", time=3.0)
        before = registry.history()
        registry.settle(TASK)
        assert (registry.alias(TASK, "champion"), registry.alias(TASK, "previous")) == (second.id, first.id)
        assert registry.history() == before

    def test_only_complete_versions_of_the_task_are_promoted(self, registry: Registry, tmp_path: Path) -> None:
        made, other = publish(registry, tmp_path), publish(registry, tmp_path, "other")
        with pytest.raises(CommandRefused, match="belongs to task 'other'"):
            registry.promote(TASK, other.id, who="me", why="", time=0.0)
        (made.path / "head.safetensors").write_text("?")
        with pytest.raises(VersionCorrupt):
            registry.promote(TASK, made.id, who="me", why="", time=0.0)
        assert registry.alias(TASK, "champion") is None

    def test_history_is_numbered_and_filtered(self, registry: Registry, tmp_path: Path) -> None:
        made = publish(registry, tmp_path)
        registry.record("held", "other", None, who="me", why="", time=2.0, details={"n": 1})
        assert [entry.seq for entry in registry.history()] == [1, 2]
        assert [entry.kind for entry in registry.history(version=made.id)] == ["published"]
        assert [entry.details for entry in registry.history("other")] == [{"n": 1}]

    @pytest.mark.parametrize("keep", [0, 1, 2, 10])
    def test_retention_spares_what_is_named(self, registry: Registry, tmp_path: Path, keep: int) -> None:
        # Given six versions, the third being champion, the second previous and the first the parent of both
        made = [publish(registry, tmp_path, parent=None if number == 0 else "000001") for number in range(6)]
        registry.promote(TASK, made[1].id, who="me", why="", time=0.0)
        registry.promote(TASK, made[2].id, who="me", why="", time=0.0)
        # When all but the newest are to go
        gone = registry.retain(TASK, keep)
        # Then what an alias or a kept version names is there, and loads
        assert gone == ["000004", "000005", "000006"][: max(0, 3 - keep)]
        for version in registry.versions(TASK):
            registry.load(version.id)
        assert {"000001", "000002", "000003"} <= {version.id for version in registry.versions(TASK)}
        # And the number of what went is not used again
        assert publish(registry, tmp_path).id == "000007"
