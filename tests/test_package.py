"""What is installed is ours: PyPI's python-daemon uses the import name ``daemon`` too."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import daemon
import strategies

ROOT = Path(__file__).parents[1]


def test_the_packages_are_ours() -> None:
    assert Path(daemon.__file__).parent == ROOT / "daemon"
    assert Path(strategies.__file__).parent == ROOT / "strategies"


def test_the_distribution_has_the_version_of_the_package() -> None:
    assert version("retaind") == daemon.__version__


def test_the_command_is_installed_beside_the_interpreter(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("retaind")
    result = subprocess.run(
        [command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == f"retaind, version {daemon.__version__}\n"
