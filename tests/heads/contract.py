"""What every fast head must hold to. Subclass, and give ``kind`` and ``options``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.heads import get_head
from daemon.heads import store as head_store
from daemon.heads.ports import HeadKind, HeadState

WIDTH = 6
LABELS = ("lost", "stolen", "late", "broken")

PROPERTY = settings(
    max_examples=60,
    deadline=None,
    # One property is run for every head, on machines under load.
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)

Step = tuple[str, int, int, int]
"""(what, input, event, label): numbers, so that hypothesis can shrink them."""

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "remove"]), st.integers(0, 7), st.integers(0, 3), st.integers(0, 3)
    ),
    max_size=40,
)


def key(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def features(number: int) -> NDArray[np.float32]:
    """Of an input: always the same, about a centre that depends on the number."""
    rng = np.random.default_rng(number)
    vector = rng.normal(size=WIDTH) + 2 * np.eye(WIDTH)[number % WIDTH]
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def answers(state: HeadState) -> Mapping[str, NDArray[np.float32]]:
    """Probabilities on fixed probes, by class name, so that the order of classes does not matter."""
    weights = state.weights()
    columns = weights.probabilities(np.stack([features(1000 + i) for i in range(5)])).T
    return dict(zip(weights.labels, columns, strict=True))


def same(one: HeadState, other: HeadState, tolerance: float = 1e-6) -> None:
    assert one.members() == other.members()
    ours, theirs = answers(one), answers(other)
    assert ours.keys() == theirs.keys()
    for label, column in ours.items():
        np.testing.assert_allclose(column, theirs[label], atol=tolerance)


class HeadContract:
    kind: ClassVar[str]
    options: ClassVar[Mapping[str, Any]]
    tolerance: ClassVar[float] = 1e-6
    """How far probabilities may lie apart through rounding."""

    def same(self, one: HeadState, other: HeadState) -> None:
        same(one, other, self.tolerance)

    @property
    def head(self) -> HeadKind:
        found = get_head(self.kind)
        assert found is not None
        return found

    def new(self) -> HeadState:
        return self.head.new(self.options)

    def play(self, played: Iterable[Step]) -> HeadState:
        state = self.new()
        for what, number, event, label in played:
            if what == "add":
                state.add(key(number), f"e{event}", LABELS[label], features(number))
            else:
                state.remove(key(number), f"e{event}", features(number))
        return state

    def batch(self, played: Iterable[Step]) -> HeadState:
        """What should be in after ``played``, worked out by hand and folded into a new state."""
        votes: dict[int, dict[int, int]] = {}
        for what, number, event, label in played:
            mine = votes.setdefault(number, {})
            mine.pop(event, None)
            if what == "add":
                mine[event] = label
        state = self.new()
        for number, mine in votes.items():
            if mine:
                event, label = list(mine.items())[-1]
                state.add(key(number), f"e{event}", LABELS[label], features(number))
        return state

    # -- answering --------------------------------------------------------------------------------

    def test_before_the_first_label_there_are_no_classes(self) -> None:
        # Given a new state
        state = self.new()
        # When it is solved
        weights = state.weights()
        # Then it answers with no classes, and says that it has seen nothing
        assert weights.probabilities(np.zeros((3, WIDTH), np.float32)).shape == (3, 0)
        assert (weights.labels, weights.cursor, weights.layers) == ((), 0, self.options["layers"])

    def test_a_class_works_from_its_first_example(self) -> None:
        # Given a state that knows some classes
        state = self.play([("add", i, 0, i % 3) for i in range(6)])
        # When one example of another class is folded
        state.add(key(50), "new", "unheard", features(50))
        # Then that input is answered with that class
        weights = state.weights()
        answer = weights.probabilities(features(50)[None])
        assert weights.labels[int(answer.argmax())] == "unheard"

    def test_labels_known_too_little_are_kept_and_do_not_answer(self) -> None:
        # Given a class with three members and one with a single one
        state = self.play([("add", i, 0, 0) for i in range(3)] + [("add", 9, 0, 1)])
        # When it is solved for classes of two members and more
        weights = state.weights(lambda label, members: members >= 2)
        # Then the single one answers nothing, and is a class with its second member
        assert weights.labels == (LABELS[0],)
        assert weights.probabilities(features(9)[None]).shape == (1, 1)
        state.add(key(10), "e", LABELS[1], features(10))
        assert state.weights(lambda label, members: members >= 2).labels == (LABELS[0], LABELS[1])

    def test_answers_are_probabilities(self) -> None:
        # Given a state with classes
        weights = self.play([("add", i, 0, i % 4) for i in range(8)]).weights()
        # When it answers
        answer = weights.probabilities(np.stack([features(i) for i in range(30)]))
        # Then each row is a distribution over its labels
        assert answer.shape == (30, 4)
        assert (answer >= 0).all()
        np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)

    def test_features_of_another_width_are_refused(self) -> None:
        # Given a state and its weights
        state = self.play([("add", 1, 0, 1)])
        # When features of another width come
        # Then both refuse them
        with pytest.raises(ValueError, match="features"):
            state.add(key(2), "e", "lost", np.ones(WIDTH + 1, np.float32))
        with pytest.raises(ValueError, match="features"):
            state.weights().probabilities(np.ones((1, WIDTH + 1), np.float32))

    def test_features_that_are_not_finite_change_nothing(self) -> None:
        # Given a state
        played: list[Step] = [("add", 1, 0, 1)]
        state = self.play(played)
        # When broken features come
        with pytest.raises(ValueError, match="not finite"):
            state.add(key(2), "e", "lost", np.full(WIDTH, np.nan, np.float32))
        # Then nothing of them is in
        self.same(state, self.play(played))

    def test_weights_are_not_changed_by_later_folding(self) -> None:
        # Given weights in use
        state = self.play([("add", i, 0, i % 2) for i in range(4)])
        weights = state.weights()
        before = weights.probabilities(features(9)[None])
        # When the state goes on
        state.add(key(9), "e9", "late", features(9))
        state.advance(10)
        # Then those weights answer as before
        assert weights.cursor == 0
        np.testing.assert_array_equal(weights.probabilities(features(9)[None]), before)

    def test_the_cursor_never_goes_back(self) -> None:
        # Given a state that has passed 7
        state = self.new()
        state.advance(7)
        # When an earlier cursor is given
        state.advance(5)
        # Then it stays
        assert (state.cursor, state.weights().cursor) == (7, 7)

    # -- folding ----------------------------------------------------------------------------------

    @PROPERTY
    @given(played=steps)
    def test_folding_equals_the_batch_solution(self, played: list[Step]) -> None:
        # Given any sequence of labels, revisions and removals
        # When it is folded
        state = self.play(played)
        # Then the state is that of a batch over what is left: each input once, under its latest label
        self.same(state, self.batch(played))

    @PROPERTY
    @given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=25), data=st.data())
    def test_the_order_of_inputs_does_not_matter(self, labels: list[int], data: st.DataObject) -> None:
        # Given labels of different inputs
        played: list[Step] = [("add", number, 0, label) for number, label in enumerate(labels)]
        # When they are folded in another order
        shuffled = data.draw(st.permutations(played))
        # Then the state is the same
        self.same(self.play(played), self.play(shuffled))

    @PROPERTY
    @given(played=steps, more=st.lists(st.tuples(st.integers(20, 25), st.integers(0, 3)), max_size=10))
    def test_what_was_put_in_can_be_taken_out(self, played: list[Step], more: list[tuple[int, int]]) -> None:
        # Given a state, and further inputs folded into it
        state = self.play(played)
        for number, label in more:
            state.add(key(number), "later", LABELS[label], features(number))
        # When these are taken out again
        for number, _ in more:
            state.remove(key(number), "later", features(number))
        # Then the state is as if they had never been
        self.same(state, self.play(played))

    @PROPERTY
    @given(played=steps, start=st.integers(0, 40))
    def test_folding_the_end_of_the_log_again_changes_nothing(self, played: list[Step], start: int) -> None:
        # Given a log that is folded, and of which the end is folded a second time
        again = [*played, *played[start:]]
        # Then the state is the same
        self.same(self.play(again), self.play(played))

    def test_an_input_under_two_events_counts_once_with_the_latest_label(self) -> None:
        # Given one input under two events with different labels
        state = self.play([("add", 1, 0, 0), ("add", 1, 1, 1), ("add", 2, 2, 2)])
        # Then it counts once, under the later one
        assert state.members() == 2
        assert set(state.labels) == {"stolen", "late"}
        # When the later event is taken out
        state.remove(key(1), "e1", features(1))
        # Then it falls back to the earlier one
        assert state.members() == 2
        assert set(state.labels) == {"lost", "late"}

    def test_it_tells_which_events_are_in(self) -> None:
        # Given one input under two events
        state = self.head.new(self.options)
        state.add(key(1), "first", "late", features(1))
        state.add(key(1), "second", "lost", features(1))
        assert [state.holds(key(1), name) for name in ("first", "second", "third")] == [True, True, False]
        # When one is taken out
        state.remove(key(1), "first", features(1))
        # Then the other is in
        assert [state.holds(key(1), name) for name in ("first", "second")] == [False, True]
        assert not state.holds(key(2), "second")

    def test_removing_what_is_not_in_does_nothing(self) -> None:
        # Given a state
        state = self.play([("add", 1, 0, 0)])
        # When events or inputs that it does not know are taken out
        state.remove(key(1), "another", features(1))
        state.remove(key(7), "e0", features(7))
        # Then nothing changes
        self.same(state, self.play([("add", 1, 0, 0)]))

    def test_a_class_without_members_answers_nothing(self) -> None:
        # Given a class with one member
        state = self.play([("add", 1, 0, 0), ("add", 2, 0, 1)])
        # When its label is changed
        state.add(key(1), "e0", "stolen", features(1))
        # Then the class is gone from labels and weights
        assert state.labels == ("stolen",)
        assert state.weights().labels == ("stolen",)

    # -- snapshots --------------------------------------------------------------------------------

    def saved(self, state: HeadState, directory: Path) -> HeadState:
        head_store.save_state(directory, state)
        return head_store.load_state(directory)

    @pytest.mark.parametrize("through", ["arrays", "disk"])
    def test_a_snapshot_goes_on_as_if_nothing_had_been(self, through: str, tmp_path: Path) -> None:
        # Given a state with inputs under several events
        first: list[Step] = [("add", i % 8, i % 3, i % 4) for i in range(30)]
        then: list[Step] = [("remove", 1, 1, 0), ("add", 2, 0, 3), ("remove", 3, 0, 0), ("add", 40, 0, 0)]
        state = self.play(first)
        state.advance(30)
        # When it is saved and loaded
        load: Mapping[str, Callable[[], HeadState]] = {
            "arrays": lambda: self.head.load_state(state.tensors(), state.metadata()),
            "disk": lambda: self.saved(state, tmp_path),
        }
        loaded = load[through]()
        # Then it is the same, and stays so through further changes
        assert (loaded.cursor, loaded.labels, loaded.layers) == (30, state.labels, state.layers)
        self.same(loaded, state)
        for what, number, event, label in then:
            for one in (state, loaded):
                if what == "add":
                    one.add(key(number), f"e{event}", LABELS[label], features(number))
                else:
                    one.remove(key(number), f"e{event}", features(number))
        self.same(loaded, state)

    def test_an_empty_state_can_be_saved(self, tmp_path: Path) -> None:
        # Given a state that has seen nothing
        # When it is saved and loaded
        loaded = self.saved(self.new(), tmp_path)
        # Then it can be folded into
        loaded.add(key(1), "e0", "lost", features(1))
        self.same(loaded, self.play([("add", 1, 0, 0)]))

    def test_saved_weights_answer_bit_for_bit(self, tmp_path: Path) -> None:
        # Given weights
        state = self.play([("add", i, 0, i % 4) for i in range(8)])
        state.advance(8)
        weights = state.weights()
        # When they are saved and loaded
        head_store.save_weights(tmp_path, weights, 0.25)
        loaded, blend = head_store.load_weights(tmp_path)
        # Then the answers are the same bits
        assert (loaded.cursor, loaded.labels, loaded.layers, blend) == (8, weights.labels, weights.layers, 0.25)
        np.testing.assert_array_equal(loaded.probabilities(features(3)[None]), weights.probabilities(features(3)[None]))

    def test_ids_and_inputs_are_not_in_the_snapshot(self) -> None:
        # Given a state with an event id that says something
        state = self.new()
        state.add(key(1), "jane@example.org", "lost", features(1))
        # When it is written
        # Then the id is not in it
        assert all(b"jane" not in array.tobytes() for array in state.tensors().values())
        assert "jane" not in str(state.metadata())
