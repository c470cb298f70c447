"""The run as an SVG that fetches nothing."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

_REMOTE = re.compile(r"@font-face\s*\{[^}]*\}\s*|<!--.*?-->\s*", re.DOTALL)
"""Rich's template names a font on a server; without it the reader's own monospaced font is taken."""


def recorder(width: int = 130) -> Console:
    """A console that shows nothing and keeps everything."""
    import io

    return Console(record=True, file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor")


def save(console: Console, path: Path, title: str) -> None:
    """Write what ``console`` has recorded."""
    path.write_text(_REMOTE.sub("", console.export_svg(title=title, unique_id="retaind")), encoding="utf-8")
