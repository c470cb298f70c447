"""The contract, and what is the closed-form head's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from daemon.config.head import RanpacHead
from daemon.heads import choosing
from daemon.heads import store as head_store
from daemon.heads.choosing import OVERSHOT
from daemon.heads.leave_one_out import Choice, LeftOut
from daemon.heads.projection import projection
from daemon.heads.ranpac import FIRST_CHOICE, RanpacKind, RanpacState
from daemon.heads.ranpac_weights import RanpacWeights
from daemon.heads.ridge import Ridge
from daemon.testing import Later
from tests.heads.contract import LABELS, WIDTH, HeadContract, features, key, same

OPTIONS = {**RanpacHead().model_dump(mode="json"), "width": 100, "layers": 3}


def folded(numbers: range, **options: float) -> RanpacState:
    state = RanpacKind().new({**OPTIONS, **options})
    for number in numbers:
        state.add(key(number), f"e{number}", LABELS[number % 4], features(number))
    state.advance(len(numbers))
    return state


def accuracy(weights: RanpacWeights, numbers: range) -> float:
    answers = weights.probabilities(np.stack([_blurred(number) for number in numbers])).argmax(axis=1)
    return float(np.mean([weights.labels[a] == LABELS[n % 4] for a, n in zip(answers, numbers, strict=True)]))


class TestRanpac(HeadContract):
    kind = "ranpac"
    options = OPTIONS
    tolerance = 1e-3

    def test_without_boost_it_is_ridge_regression(self) -> None:
        # Given a state of many examples, whose classes are all alike old
        state = folded(range(60), young_events=0.0)
        weights = state.weights()
        # When ridge regression on the projected features is solved at once, in double precision
        x = np.stack([features(number) for number in range(60)])
        z = projection(0, WIDTH, 100, 3)(_torch(x)).numpy().astype(np.float64)
        y = np.array([[label == LABELS[number % 4] for label in weights.labels] for number in range(60)], np.float64)
        wanted = np.linalg.solve(z.T @ z + 0.03 * np.eye(100), z.T @ y).T
        # Then the weights are the same
        np.testing.assert_allclose(weights.tensors()["solved"], wanted, atol=2e-3)

    def test_the_ridge_is_chosen_when_enough_has_come_and_again_when_that_doubled(self) -> None:
        # Given inputs whose labels are partly chance
        rng = np.random.default_rng(0)
        state = RanpacKind().new(OPTIONS)
        chosen: list[tuple[int, int]] = []
        for number in range(4 * FIRST_CHOICE):
            label = LABELS[number % 4] if rng.random() < 0.7 else LABELS[int(rng.integers(4))]
            state.add(key(number), f"e{number}", label, _blurred(number))
            # When it is solved after each of them
            state.weights()
            if not chosen or state.metadata()["next_choice"] != chosen[-1][1]:
                chosen.append((number + 1, state.metadata()["next_choice"]))
        # Then the ridge was chosen at 128 members, and at each doubling
        assert chosen == [(1, 128), (128, 256), (256, 512), (512, 1024)]
        # And what it chose answers others better than where it began
        fixed = RanpacKind().new({**OPTIONS, "ridge": 2.0**-8})
        for number in range(FIRST_CHOICE - 1):
            fixed.add(key(number), f"e{number}", LABELS[number % 4], _blurred(number))
        assert state.ridge != 0.03
        assert accuracy(state.weights(), range(5000, 5400)) >= accuracy(fixed.weights(), range(5000, 5400))

    def test_half_of_the_ridge_that_leave_one_out_finds_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Given inputs whose labels are partly chance, so that the ridge that is found is not the smallest
        rng, ridges = np.random.default_rng(0), []
        labels = [LABELS[n % 4] if rng.random() < 0.7 else LABELS[int(rng.integers(4))] for n in range(FIRST_CHOICE)]
        for overshot in (1.0, OVERSHOT):
            monkeypatch.setattr(choosing, "OVERSHOT", overshot)
            state = RanpacKind().new(OPTIONS)
            for number, label in enumerate(labels):
                state.add(key(number), f"e{number}", label, _blurred(number))
            # When it is chosen
            state.weights()
            ridges.append(state.ridge)
        assert ridges[0] == pytest.approx(2 * ridges[1])

    def test_no_ridge_is_judged_twice_for_one_choice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Given a head about to choose, whose judge notes what it is asked
        judge, asked = LeftOut.judge, list[float]()

        def noting(sample: LeftOut, ridge: float, factor: Tensor | None) -> Choice:
            asked.append(ridge)
            return judge(sample, ridge, factor)

        monkeypatch.setattr(LeftOut, "judge", noting)
        # When it chooses
        folded(range(FIRST_CHOICE)).weights()
        # Then each costs one factorisation
        assert len(asked) == len(set(asked)) >= 3

    def test_what_is_chosen_beside_answers_once_it_is_known_with_all_that_came_meanwhile(self, tmp_path: Path) -> None:
        # Given two states, of which one chooses beside the folding, and one waits for it
        rng, slow = np.random.default_rng(0), Later()
        labels = [LABELS[n % 4] if rng.random() < 0.7 else LABELS[int(rng.integers(4))] for n in range(FIRST_CHOICE)]
        beside, waiting = RanpacKind().new(OPTIONS), RanpacKind().new(OPTIONS)
        beside.choose_beside(slow)
        for state in (beside, waiting):
            for number, label in enumerate(labels):
                state.add(key(number), f"e{number}", label, _blurred(number))
            state.weights()
        assert (len(slow.waiting), beside.ridge) == (1, 0.03)
        # When members come and leave and a class gets its name, and nothing is known yet
        for state in (beside, waiting):
            for number in range(FIRST_CHOICE, FIRST_CHOICE + 30):
                state.add(key(number), f"e{number}", LABELS[number % 3], _blurred(number))
                state.weights()
            for number in range(5):
                state.remove(key(number), f"e{number}", _blurred(number))
            state.name("lost", features(900))
            state.weights()
        # Then the ridge is what it was, and is asked for once
        assert (len(slow.waiting), beside.ridge) == (1, 0.03)
        assert waiting.ridge != 0.03
        # And what is saved now chooses again where it is loaded
        head_store.save_state(tmp_path, beside)
        loaded = head_store.load_state(tmp_path)
        assert loaded.metadata()["next_choice"] == FIRST_CHOICE
        loaded.weights()
        assert loaded.metadata()["next_choice"] == 2 * (FIRST_CHOICE + 25)
        # When it is known, both answer alike
        slow.run()
        beside.weights()
        assert beside.ridge == waiting.ridge
        same(beside, waiting, self.tolerance)
        ours, theirs = beside.metadata(), waiting.metadata()
        assert (ours["next_choice"], ours["temperature"]) == (256, theirs["temperature"])
        assert beside.tensors()["left"].tolist() == waiting.tensors()["left"].tolist()
        assert not slow.waiting

    @pytest.mark.parametrize(("bears", "chosen"), [(0.2, True), (64.0, False)])
    def test_a_ridge_that_the_sums_do_not_bear_is_not_chosen(
        self, bears: float, chosen: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given sums whose rounding is as large as a ridge of 0.2, or as any (then what was carried along stays)
        whole = Ridge.factor
        monkeypatch.setattr(Ridge, "factor", lambda self, ridge: whole(self, ridge) if ridge > bears else None)
        state = RanpacKind().new(OPTIONS)
        for number in range(FIRST_CHOICE):
            state.add(key(number), f"e{number}", LABELS[number % 4], _blurred(number))
        # When it is due
        weights = state.weights()
        # Then another one was, where there is one
        assert (state.ridge > bears) if chosen else (state.ridge == 0.03)
        assert accuracy(weights, range(5000, 5400)) > 0.5

    def test_the_ridge_is_chosen_anew_when_many_have_left(self, tmp_path: Path) -> None:
        # Given members of which every third has a wrong label
        state, wrong = RanpacKind().new(OPTIONS), [number for number in range(300) if number % 3 == 0]
        for number in range(300):
            label = LABELS[(number + (number % 3 == 0)) % 4]
            state.add(key(number), f"e{number}", label, _blurred(number))
            state.weights()
        among_wrong = state.ridge
        # When some leave and come back, nothing is chosen
        for number in wrong:
            state.remove(key(number), f"e{number}", _blurred(number))
        for number in wrong:
            state.add(key(number), f"e{number}", LABELS[(number + 1) % 4], _blurred(number))
        state.weights()
        assert state.ridge == among_wrong
        # When they leave for good, over a restart, it is chosen anew
        for number in wrong:
            state.remove(key(number), f"e{number}", _blurred(number))
            if number == 150:
                head_store.save_state(tmp_path, state)
                loaded = head_store.load_state(tmp_path)
                assert isinstance(loaded, RanpacState)
                state = loaded
        state.weights()
        assert state.ridge != among_wrong
        assert state.metadata()["next_choice"] == 2 * 200

    def test_probabilities_say_how_often_they_are_right(self) -> None:
        # Given labels of which three in ten are chance
        rng = np.random.default_rng(1)
        noisy = [LABELS[n % 4] if rng.random() < 0.7 else LABELS[int(rng.integers(4))] for n in range(600)]
        state = RanpacKind().new(OPTIONS)
        for number, label in enumerate(noisy[:400]):
            state.add(key(number), f"e{number}", label, _blurred(number))
        weights = state.weights()
        # When others are answered
        answers = weights.probabilities(np.stack([_blurred(number) for number in range(400, 600)]))
        # Then the mean of the highest probability is the share that is right
        right = np.mean([weights.labels[row.argmax()] == noisy[400 + i] for i, row in enumerate(answers)])
        assert abs(answers.max(axis=1).mean() - right) < 0.1

    def test_a_name_is_an_example_for_as_long_as_its_class_answers(self) -> None:
        # Given a state that knows the words of a class that has no members
        state = folded(range(20))
        before = state.weights().tensors()["solved"].copy()
        state.name("broken", features(700))
        state.name("unheard", features(702))
        # Then only the class that has members is changed by its name
        assert "unheard" not in state.weights().labels
        assert np.abs(state.weights().tensors()["solved"] - before).max() > 1e-3
        # When the other one stands by its name
        state.stand(["unheard"])
        weights = state.weights()
        # Then it answers what its words say
        assert weights.labels[int(weights.probabilities(features(702)[None]).argmax())] == "unheard"
        # And no more when it does not stand any longer
        state.stand([])
        assert "unheard" not in state.weights().labels

    def test_without_any_member_names_answer_alone(self, tmp_path: Path) -> None:
        # Given a state that knows two classes by their words only
        state = RanpacKind().new(OPTIONS)
        state.name("lost", features(1))
        state.name("late", features(2))
        state.stand(["lost", "late"])
        # When it is saved, loaded and asked
        head_store.save_state(tmp_path, state)
        weights = head_store.load_state(tmp_path).weights()
        # Then each is answered by what is near its words
        assert weights.labels == ("lost", "late")
        assert weights.probabilities(np.stack([features(1), features(2)])).argmax(axis=1).tolist() == [0, 1]

    def test_a_class_that_stands_without_words_is_refused(self) -> None:
        # Given a state
        # When a class is to answer by words that nobody gave
        # Then that is refused by name
        with pytest.raises(ValueError, match=r"labels: \['late'\] have no name"):
            RanpacKind().new(OPTIONS).stand(["late"])

    def test_young_classes_are_lifted(self) -> None:
        # Given one class with two examples among three with forty
        def state(young: float) -> RanpacState:
            made = RanpacKind().new({**OPTIONS, "young_events": young})
            for number in range(160):
                if number % 4 != 3 or number < 8:
                    made.add(key(number), f"e{number}", LABELS[number % 4], _blurred(number))
            return made

        probes = np.stack([_blurred(number) for number in range(803, 1203, 4)])
        shares = []
        for young in (0.0, 10.0):
            weights = state(young).weights()
            shares.append(
                float((weights.probabilities(probes).argmax(axis=1) == weights.labels.index("broken")).mean())
            )
        # Then it is answered more often with the boost
        assert shares[1] > shares[0]

    @pytest.mark.parametrize("cut", [0, 1, 30, 79, 80])
    def test_disjoint_states_add_up(self, cut: int) -> None:
        # Given two states of disjoint inputs that share a name
        left, right = folded(range(cut)), folded(range(cut, 80))
        whole = folded(range(80))
        for state in (left, right, whole):
            state.name("lost", features(900))
        # When they are merged
        merged = left.merge(right)
        # Then it is the state of all of them: the name counts once
        same(merged, whole, self.tolerance)
        assert merged.cursor == min(cut, 80 - cut)

    def test_states_of_other_options_are_not_merged(self) -> None:
        with pytest.raises(ValueError, match="merge states made with equal ones"):
            folded(range(5)).merge(folded(range(5, 9), seed=1))

    def test_the_projection_is_the_same_everywhere(self) -> None:
        # Given the projection of a seed
        # Then its numbers are those written here: a state saved elsewhere fits
        z = projection(3, 6, 4, 2)(_torch(np.eye(6, dtype=np.float32))).numpy()
        np.testing.assert_allclose(z, np.array(EXPECTED), atol=1e-6)

    def test_sums_that_do_not_fit_are_refused(self) -> None:
        state = folded(range(5))
        tensors = {**state.tensors(), "cross": np.zeros((5, 7), np.float32)}
        with pytest.raises(ValueError, match="do not fit 4 labels, 100 wide"):
            RanpacKind().load_state(tensors, state.metadata())


def _torch(x: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))


def _blurred(number: int) -> NDArray[np.float32]:
    """Of class ``number % 4``, with much noise."""
    rng = np.random.default_rng(number)
    vector = rng.normal(size=WIDTH) + 2.5 * np.eye(WIDTH)[number % 4]
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


EXPECTED = [
    [0, 0, 0, 0.600705],
    [0, 0, 0, 0],
    [0.471245, 1.233881, 0, 0],
    [0.748816, 0, 0, 0],
    [1.699181, 0, 0, 1.477382],
    [0.005883, 0, 1.045715, 0.845982],
]
