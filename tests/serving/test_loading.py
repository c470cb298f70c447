"""A version from its files to a model that answers."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from daemon.errors import VersionCorrupt, VersionError, VersionIncomplete
from daemon.serving.loading import load_served
from tests.serving.tiny import version


def test_files_are_verified(tmp_path: Path) -> None:
    # Given a version whose manifest names a file
    (tmp_path / "labels.json").write_text("[]")
    right = replace(version(1, tmp_path), files={"labels.json": sha256(b"[]").hexdigest()})
    # When it was changed, is missing, or the rest is not there
    # Then loading is refused with the file's name
    with pytest.raises(VersionCorrupt, match=r"labels\.json has SHA-256"):
        load_served(replace(right, files={"labels.json": "0" * 64}), None, torch.device("cpu"))
    with pytest.raises(VersionIncomplete, match=r"head\.safetensors is missing"):
        load_served(replace(right, files={"head.safetensors": "0" * 64}), None, torch.device("cpu"))
    with pytest.raises(VersionError):
        load_served(right, None, torch.device("cpu"))
