"""Blocks that waited, taken together."""

from __future__ import annotations

import torch

from daemon.heads.block import Block, take, total


def block(count: int, classes: int, sign: float = 1.0) -> Block:
    return Block(torch.full((count, 5), float(classes)), torch.full((count,), sign), torch.ones(count, classes))


def test_small_blocks_are_taken_together_up_to_so_many_rows() -> None:
    # Given blocks of which a class came with the second
    blocks = [block(2, 3), block(3, 4, -1.0), block(4, 4)]
    # When the first is taken
    first = take(blocks, 6)
    # Then the second comes with it, in order, the third does not
    assert (len(first.rows), len(blocks), total(blocks)) == (5, 1, 4)
    assert first.signs.tolist() == [1, 1, -1, -1, -1]
    assert first.rows[:, 0].tolist() == [3, 3, 4, 4, 4]
    # And what was there before the class came has nothing of it
    assert first.targets[:, 3].tolist() == [0, 0, 1, 1, 1]


def test_a_large_block_is_taken_alone_and_whole() -> None:
    blocks = [block(9, 2), block(1, 2)]
    assert len(take(blocks, 6).rows) == 9
    assert total(blocks) == 1


def test_taking_out_counts_for_more_rounding() -> None:
    assert (block(3, 2).rounding, block(3, 2, -1.0).rounding) == (3, 153)
