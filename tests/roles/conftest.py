from __future__ import annotations

import pytest

from tests.models.bases import tiny


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small encoder's directory."""
    directory = tmp_path_factory.mktemp("base")
    tiny(directory)
    return str(directory)
