"""docs/how-to/your-own-schema.md: its configuration reads its sample, and gives what it shows."""

from __future__ import annotations

from pathlib import Path

from tests.cli.run import retaind
from tests.docs.test_documentation import FENCE, ROOT

PAGE = ROOT / "docs/how-to/your-own-schema.md"


def test_the_page_shows_what_its_sample_becomes(tmp_path: Path) -> None:
    # Given the page's configuration and sample
    shown = dict(FENCE.findall(PAGE.read_text()))
    (tmp_path / "config.yaml").write_text(shown["yaml"])
    (tmp_path / "sample.jsonl").write_text(shown["json"])
    # When its command is run
    command = shown["bash"].split()
    result = retaind(*command[1:], cwd=tmp_path)
    # Then it prints what the page says, and that one would be a dead letter
    assert result.stdout == shown["text"]
    assert result.returncode == 1, result.stderr
