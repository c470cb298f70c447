"""The sample that chooses the ridge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.heads.sample import Sample
from tests.heads.contract import features, key


def filled(numbers: list[int], size: int = 5) -> Sample:
    sample = Sample(size)
    for number in numbers:
        sample.offer(key(number), features(number))
    return sample


@given(order=st.permutations(range(20)))
def test_it_does_not_depend_on_the_order(order: list[int]) -> None:
    # Given members in any order
    vectors, keys = filled(order).rows()
    # Then the sample holds those with the smallest keys, with their features
    assert keys == sorted(map(key, range(20)))[:5]
    by_key = {key(number): features(number) for number in range(20)}
    np.testing.assert_array_equal(vectors, np.stack([by_key[one] for one in keys]))


def test_what_leaves_is_not_in_it() -> None:
    # Given a full sample
    sample = filled(list(range(20)))
    gone = sample.rows()[1][2]
    # When one of its members leaves, and one that it does not hold
    sample.drop(gone)
    sample.drop(key(999))
    # Then it is gone, and the next that come fill its place
    assert gone not in sample.rows()[1]
    sample.offer(key(50), features(50))
    assert len(sample) == 5


def test_it_can_be_kept() -> None:
    # Given a sample and an empty one
    for sample in (filled(list(range(9))), Sample(5)):
        # When it is saved and loaded
        loaded = Sample.load(sample.tensors(), 5)
        # Then it is the same
        assert len(loaded) == len(sample)
        if len(sample):
            assert loaded.rows()[1] == sample.rows()[1]
    # And rows without keys are refused
    with pytest.raises(ValueError, match="1 keys for 0 rows"):
        Sample.load({**Sample(5).tensors(), "sample_keys": np.zeros((1, 16), np.uint8)}, 5)
