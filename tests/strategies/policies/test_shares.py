"""Equal shares over classes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from strategies.policies.shares import shares, spread
from tests.strategies.policies.around import example


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 40), max_size=12), st.integers(0, 300))
def test_shares_are_whole_and_equal(sizes: dict[str, int], n: int) -> None:
    # Given classes of any size, When n are shared out
    given = shares(sizes, n)
    # Then all that can be given is, no class gives more than it has, and who has more left gives equally, to one
    assert sum(given.values()) == min(n, sum(sizes.values()))
    assert all(0 <= given[name] <= sizes[name] for name in sizes)
    unfinished = [given[name] for name in sizes if given[name] < sizes[name]]
    assert max(unfinished, default=0) - min(unfinished, default=0) <= 1
    assert all(given[name] <= min(unfinished, default=given[name]) for name in sizes if given[name] == sizes[name])


def test_the_first_of_each_class_are_taken() -> None:
    # Given ten of a and two of b, mixed, When six are spread, Then both of b and the first four of a
    some = [example(f"{label}{i}", label) for i, label in enumerate("aabaaaabaaaa")]
    taken = spread(some, 6)
    assert Counter(e.label for e in taken) == {"a": 4, "b": 2}
    assert [e.event_id for e in taken if e.label == "a"] == ["a0", "a1", "a3", "a4"]
