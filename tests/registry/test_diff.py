"""What distinguishes two versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import CommandRefused
from daemon.registry.diff import diff, text_of_diff
from daemon.registry.store import FileRegistry
from tests.registry.contract import publish
from tests.registry.judged import judge, make


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "registry")


def test_each_difference_is_named_and_nothing_that_is_equal(registry: FileRegistry, tmp_path: Path) -> None:
    # Given two versions: another number of epochs, another loss, another verdict, a class more and one less
    a = make(registry, tmp_path, ["lost", "late"], epochs=4, loss=0.5).id
    b = make(registry, tmp_path, ["lost", "fee"], epochs=6, loss=0.25, parent=a).id
    judge(registry, a, promoted=True)
    judge(registry, b, promoted=False)
    # When they are compared
    found = diff(registry, a, b)
    # Then that stands there, numbers with their difference
    assert found["config"] == {"training.epochs": [4, 6, 2]}
    assert found["metrics"]["loss"] == [0.5, 0.25, -0.25]
    assert found["labels"] == {"added": ["fee"], "removed": ["late"]}
    assert found["parent"] == [None, a]
    assert [side["decision"] for side in found["verdict"]] == ["pass", "fail"]
    assert set(found) & {"base", "tune", "strategies"} == set()
    assert set(found["files"]) == {"labels.json", "head.safetensors", "adapter/adapter_model.safetensors"}
    # And as text
    lines = text_of_diff(found).splitlines()
    assert lines[0] == "support: 000001 -> 000002"
    assert "config      training.epochs: 4 -> 6 (+2)" in lines
    assert "labels      added: fee" in lines
    assert any(line.startswith("verdict     decision pass, promoted True") for line in lines)


def test_a_version_does_not_differ_from_itself(registry: FileRegistry, tmp_path: Path) -> None:
    a = make(registry, tmp_path, ["lost"], epochs=4, loss=0.5).id
    assert diff(registry, a, a) == {"task": "support", "a": a, "b": a, "config": {}, "metrics": {}, "files": []}
    assert text_of_diff(diff(registry, a, a)).splitlines()[-1] == "files       all the same"


def test_versions_of_two_tasks_are_not_compared(registry: FileRegistry, tmp_path: Path) -> None:
    ids = [publish(registry, tmp_path, task).id for task in ("one", "two")]
    with pytest.raises(CommandRefused, match="compare two of one task"):
        diff(registry, *ids)
