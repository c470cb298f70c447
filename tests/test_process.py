"""What a process asks of its interpreter."""

from __future__ import annotations

import gc

from daemon.process import without_collection


def test_what_is_left_of_a_batch_counts_as_old() -> None:
    # Given a batch that outlives the block it was made in
    with without_collection():
        assert not gc.isenabled()
        batch = [[number] for number in range(2000)]
    # Then cycles are searched for again, but not in it at once
    assert gc.isenabled()
    assert not any(one is batch[7] for generation in (0, 1) for one in gc.get_objects(generation))
    assert any(one is batch[7] for one in gc.get_objects(2))


def test_a_search_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
