from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from daemon.buffer.rows import order_of
from daemon.buffer.split import HOLDOUT, TRAIN, VALIDATION, decide, split_key
from daemon.config.task import SplitConfig
from daemon.events import Origin

KEYS = [i.to_bytes(16, "big") for i in range(20_000)]


def test_shares_are_kept() -> None:
    counts = Counter(decide(SplitConfig(), key, 10) for key in KEYS)
    assert 900 <= counts[VALIDATION] <= 1100
    assert 900 <= counts[HOLDOUT] <= 1100


def test_a_young_class_trains() -> None:
    assert {decide(SplitConfig(), key, 9) for key in KEYS} == {TRAIN}


def test_seed_and_key_alone_decide() -> None:
    one = [decide(SplitConfig(seed=1), key, 10) for key in KEYS]
    assert one == [decide(SplitConfig(seed=1), key, 99) for key in KEYS]
    assert one != [decide(SplitConfig(seed=2), key, 10) for key in KEYS]
    assert [decide(SplitConfig(seed=-1), key, 10) for key in KEYS] != one


def test_an_attribute_is_the_key_where_there_is_one() -> None:
    cfg = SplitConfig(by="attributes.customer")
    assert split_key(cfg, b"k" * 16, {"customer": "a"}) == split_key(cfg, b"j" * 16, {"customer": "a"})
    assert split_key(cfg, b"k" * 16, {"region": "a"}) == b"k" * 16
    assert split_key(SplitConfig(), b"k" * 16, {"customer": "a"}) == b"k" * 16


PLACES = st.tuples(
    st.floats(allow_nan=False),
    st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=4),
    st.integers(0, 300),
    st.integers(0, 2**40),
)


@given(st.lists(PLACES, min_size=2, max_size=6))
def test_order_bytes_compare_as_the_tuples_do(places: list[tuple[float, str, int, int]]) -> None:
    assert sorted(places) == sorted(places, key=lambda p: order_of(p[0], Origin(*p[1:])))
