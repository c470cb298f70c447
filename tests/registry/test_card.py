"""The model card: what stands in it, and what text of others can not do in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import UnknownVersion, VersionCorrupt
from daemon.registry.card import card
from daemon.registry.store import FileRegistry
from tests.registry.contract import TASK, publish
from tests.registry.judged import judge, make


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "registry")


def test_the_card_tells_use_origin_data_metrics_verdict_history_and_limits(
    registry: FileRegistry, tmp_path: Path
) -> None:
    # Given a version that was made, judged and promoted
    version = make(registry, tmp_path, ["lost", "late", "fee", "odd"], epochs=4, loss=0.25, parent="000001", cursor=99)
    judge(registry, version.id, promoted=True)
    # When its card is made
    text = card(registry, version.id)
    # Then each section is there, with what the manifest and the history say
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        f"# {TASK}, version 000001",
        "## Intended use",
        "## How it was made",
        "## Training data",
        "## Metrics",
        "## Verdict",
        "## History",
        "## Files",
        "## Limitations",
    ]
    for line in (
        "Made 1970-01-02 00:00:00Z. 4 classes. Served as champion.",
        f"- base: `base`, SHA-256 {'0' * 64}, texts cut at 128 tokens",
        "- parent: 000001",
        "- tune: kind lora, rank 8",
        "- strategies: replay",
        "- seed: 5; split seed: 3",
        "- job 000007, started because of: min_events; changes up to 99",
        "| lost | 12 | 0 | 0 | 4 |",
        "| all | 42 | 0 | 0 | 4 |",
        "| training loss, last | 0.25 |",
        "| overall | yes | +0.0500 | overall: 0.8 -\\> 0.9 |",
        "- Fewer than 10 training rows in this update: odd.",
        "- No holdout row, so not measured: late, fee, odd.",
    ):
        assert line in text.splitlines()
    assert "**pass**, promoted, on 120 holdout rows against version 000001: 0.8000 -> 0.9000." in text
    assert "- 1970-01-01 00:00:01Z promoted, by gate: overall: better" in text
    assert all(digest in text for digest in version.files.values())


def test_a_base_version_says_that_nothing_was_trained(registry: FileRegistry, tmp_path: Path) -> None:
    text = card(registry, publish(registry, tmp_path).id)
    for line in (
        "None: the encoder as it came.",
        "Not trained.",
        "Not judged.",
        "- parent: none: this is the base version",
    ):
        assert line in text.splitlines()


def test_a_label_cannot_become_markup(registry: FileRegistry, tmp_path: Path) -> None:
    version = make(registry, tmp_path, ["a|b", "<script>x</script>", "[x](http://y)\n# big"], epochs=1, loss=1.0)
    text = card(registry, version.id)
    assert "| a\\|b | 12 |" in text
    assert "<script>" not in text.replace("\\<", "")
    assert "\n# big" not in text


def test_no_card_is_made_of_what_is_not_whole(registry: FileRegistry, tmp_path: Path) -> None:
    version = make(registry, tmp_path, ["a"], epochs=1, loss=1.0)
    (version.path / "head.safetensors").write_text("other")
    with pytest.raises(VersionCorrupt):
        card(registry, version.id)
    with pytest.raises(UnknownVersion):
        card(registry, "000009")
