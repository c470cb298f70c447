"""Which versions an erased event was in."""

from __future__ import annotations

from pathlib import Path

from daemon.registry.lineage import trained_on, write_lineage
from daemon.registry.store import FileRegistry
from daemon.registry.version import VersionMeta

META = VersionMeta("support", "sequence", "base", "0" * 64, 128)


def publish(registry: FileRegistry, root: Path, parent: Path, events: list[str]) -> Path:
    staging = root / "staging"
    staging.mkdir()
    (staging / "labels.json").write_text("[]")
    write_lineage(staging, parent, events)
    return registry.publish(staging, META, created=1.0).path


def test_given_versions_when_asked_then_those_that_saw_the_event_and_their_descendants_are_named(
    tmp_path: Path,
) -> None:
    registry = FileRegistry(tmp_path / "registry")
    first = publish(registry, tmp_path, tmp_path / "none", ["a", "b"])
    second = publish(registry, tmp_path, first, ["c"])
    publish(registry, tmp_path, second, [])
    assert [version.id for version in trained_on(registry, "support", ["b", "nobody"])] == [
        "000001",
        "000002",
        "000003",
    ]
    assert [version.id for version in trained_on(registry, "support", ["c"])] == ["000002", "000003"]
    assert trained_on(registry, "support", ["nobody"]) == []
    assert trained_on(registry, "other", ["a"]) == []
    # and neither id nor text stands in it
    assert len((second / "trained.ids").read_bytes()) == 3 * 8
