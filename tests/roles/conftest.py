from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models.bases import tiny
from tests.roles.bench import Bench


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small encoder's directory."""
    directory = tmp_path_factory.mktemp("base")
    tiny(directory)
    return str(directory)


@pytest.fixture
def bench(tmp_path: Path, base: str) -> Iterator[Bench]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    made = Bench(tmp_path / "state", base)
    yield made
    made.buffer.close()
    torch.use_deterministic_algorithms(deterministic)
