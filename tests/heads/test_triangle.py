"""A square and its triangle."""

from __future__ import annotations

import pytest
import torch

from daemon.heads.triangle import pack, unpack


def test_a_triangle_is_the_whole() -> None:
    # Given a symmetric square
    rows = torch.randn(40, 24, generator=torch.Generator().manual_seed(0))
    square = rows.T @ rows
    # When its triangle is kept
    triangle = pack(square)
    # Then it gives the square again, and one of another size is refused
    torch.testing.assert_close(unpack(triangle, 24), torch.tril(square) + torch.tril(square, -1).T)
    with pytest.raises(ValueError, match=r"7 wide it has \[28\]"):
        unpack(triangle, 7)
