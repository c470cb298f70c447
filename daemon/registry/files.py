"""Safe files: an allow-list of names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from daemon.errors import UnsafeFile

ALLOWED = re.compile(
    r"labels\.json|young\.json|trained\.ids|head\.safetensors|weights\.safetensors"
    r"|adapter/adapter_config\.json|adapter/adapter_model\.safetensors"
    r"|tokenizer/[A-Za-z0-9_.-]+\.(json|txt)"
    r"|strategy/[A-Za-z0-9_.-]+\.safetensors"
    r"|fast/[A-Za-z0-9_.-]+\.(json|safetensors)"
)
"""Every file that a version may have. No pickle, no code, nothing else."""


def list_files(root: Path, passing: Sequence[str] = ()) -> dict[str, Path]:
    """Relative name -> path, but for those ``passing``. Raises UnsafeFile for a link or a name that is not allowed."""
    if root.is_symlink() or not root.is_dir():
        raise UnsafeFile(f"{root.name} is not a directory of its own; a version is made from a real one")
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            raise UnsafeFile(f"{name} in {root.name} is a link; a version holds files only")
        if path.is_dir() or name in passing:
            continue
        if ALLOWED.fullmatch(name) is None or not path.is_file():
            raise UnsafeFile(f"{name} in {root.name} is not a file that a version may have; take it out")
        found[name] = path
    return found
