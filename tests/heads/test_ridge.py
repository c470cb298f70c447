"""Recursive ridge regression: what is carried along is what solving from the sums gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from daemon.heads import ridge as ridges
from daemon.heads.ridge import Ridge

WIDTH, CLASSES = 24, 3


def rows(count: int, seed: int = 0) -> Tensor:
    found = torch.relu(torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)))
    return torch.nn.functional.normalize(found)


def targets(count: int) -> Tensor:
    return torch.eye(CLASSES)[torch.arange(count) % CLASSES]


def batch(z: Tensor, y: Tensor, ridge: float) -> Tensor:
    z, y = z.double(), y.double()
    inverse: Tensor = torch.linalg.inv(z.T @ z + ridge * torch.eye(WIDTH).double())
    return (y.T @ z @ inverse).float()


def new(ridge: float = 0.1) -> Ridge:
    made = Ridge(WIDTH, ridge)
    made.grow(CLASSES)
    return made


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_blocks_of_any_size_give_the_batch_solution(sizes: list[int]) -> None:
    # Given examples that come in blocks
    z, y, ridge = rows(sum(sizes)), targets(sum(sizes)), new()
    # When each is learnt as it comes
    for part_z, part_y in zip(torch.split(z, sizes), torch.split(y, sizes), strict=True):
        ridge.learn(part_z, torch.ones(len(part_z)), part_y)
    # Then the weights are those of all of them at once
    torch.testing.assert_close(ridge.solved, batch(z, y, 0.1), atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("asked", [True, False])
def test_rows_and_names_may_wait_until_they_are_asked_for(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a ridge that carries fifty rows at most, and classes and names that come between the rows
    monkeypatch.setattr(ridges, "CARRIED_AT_MOST", 50)
    z, y, ridge, names = rows(160), targets(160), Ridge(24, 0.1), rows(2, seed=5)
    ridge.grow(2)
    y[:20] = torch.eye(3)[torch.arange(20) % 2]
    for start in range(0, 160, 20):
        # When blocks come, and the weights are asked for after each, or at the end alone
        ridge.learn(z[start : start + 20], torch.ones(20), y[start : start + 20, : ridge.classes])
        if start == 0:
            ridge.grow(3)
            ridge.name([2], names[:1])
        if start == 60:
            ridge.name([0], names[1:])
        if asked:
            assert ridge.solved.shape == (3, 24)
    ridge.unname([2])
    # Then they are those of all of them at once
    label = torch.tensor([[1.0, 0.0, 0.0]])
    torch.testing.assert_close(
        ridge.solved, batch(torch.cat([z, names[1:]]), torch.cat([y, label]), 0.1), atol=1e-3, rtol=1e-2
    )


@pytest.mark.parametrize("count", [3, 60])
def test_rows_can_leave_and_change_their_class(count: int) -> None:
    # Given examples that were learnt
    z, y, ridge = rows(count), targets(count), new()
    ridge.learn(z, torch.ones(count), y)
    # When one leaves and another one changes its class
    ridge.learn(z[:1], torch.tensor([-1.0]), -y[:1])
    moved = torch.tensor([[0.0, -1.0, 1.0]])
    ridge.learn(z[1:2], torch.tensor([0.0]), moved)
    # Then the weights are those of the others, with the class changed
    y = y.clone()
    y[1] += moved[0]
    torch.testing.assert_close(ridge.solved, batch(z[1:], y[1:], 0.1), atol=1e-3, rtol=1e-2)


def test_ten_thousand_changes_leave_no_dust() -> None:
    # Given a ridge with examples
    z, y, ridge = rows(200), targets(200), new(0.03)
    ridge.learn(z, torch.ones(200), y)
    # When one goes in and out five thousand times
    other = rows(1, seed=9)
    for _ in range(5_000):
        ridge.learn(other, torch.tensor([1.0]), targets(1))
        ridge.learn(other, torch.tensor([-1.0]), -targets(1))
    # Then the weights are what they were
    torch.testing.assert_close(ridge.solved, batch(z, y, 0.03), atol=1e-3, rtol=1e-2)


def test_sums_that_do_not_bear_the_ridge_are_solved_with_the_next_that_they_bear() -> None:
    # Given sums whose rounding left a direction of which nothing came with less than nothing
    z, y, ridge = rows(30), targets(30), new(0.01)
    nowhere = torch.linalg.eigh(z.T @ z).eigenvectors[:, 0]
    least = float(torch.linalg.eigvalsh(z.T @ z)[0])
    ridge.put(z.T @ z - (least + 0.05) * torch.outer(nowhere, nowhere), y.T @ z)
    # When the weights are asked for
    solved = ridge.solved
    # Then they are those of the first doubling that is larger
    assert ridge.ridge == pytest.approx(0.08)
    wanted = y.T @ z @ torch.linalg.inv(ridge.gram().double() + 0.08 * torch.eye(WIDTH).double()).float()
    torch.testing.assert_close(solved, wanted, atol=1e-2, rtol=1e-2)
    assert ridge.factor(0.04) is None


def test_sums_that_are_not_finite_are_refused() -> None:
    ridge = new()
    ridge.put(torch.full((WIDTH, WIDTH), torch.nan), torch.zeros(CLASSES, WIDTH))
    with pytest.raises(ValueError, match="sums are not finite"):
        ridge.solve(0.1)


def test_names_are_in_the_weights_and_not_in_the_sums() -> None:
    # Given examples and a name of a class
    z, y, ridge, name = rows(30), targets(30), new(), rows(1, seed=5)
    ridge.learn(z, torch.ones(30), y)
    before, gram = ridge.solved.clone(), ridge.gram().clone()
    # When the name comes
    ridge.name([2], name)
    # Then it counts as an example, and the sums are those of the examples
    wanted = batch(torch.cat([z, name]), torch.cat([y, torch.eye(CLASSES)[2:]]), 0.1)
    torch.testing.assert_close(ridge.solved, wanted, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(ridge.gram(), gram)
    # And it counts the same where all is solved anew
    ridge.solve(0.1)
    torch.testing.assert_close(ridge.solved, wanted, atol=1e-3, rtol=1e-2)
    # When it goes
    ridge.unname([2])
    # Then the weights are as before
    torch.testing.assert_close(ridge.solved, before, atol=1e-3, rtol=1e-2)


def test_sums_of_another_width_are_refused() -> None:
    # Given a ridge
    # When sums that do not fit are added
    # Then they are refused
    with pytest.raises(ValueError, match="do not fit 24 wide"):
        new().put(torch.zeros(3, 3), torch.zeros(CLASSES, 3))


forks = st.lists(
    st.tuples(st.sampled_from(["learn", "leave", "name", "unname", "ask", "grow"]), st.integers(1, 30)), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(before=forks, meanwhile=forks, after=forks, most=st.sampled_from([40, 1000]))
def test_what_came_while_a_fork_was_solved_is_in_what_goes_on_from_it(
    before: list[tuple[str, int]], meanwhile: list[tuple[str, int]], after: list[tuple[str, int]], most: int
) -> None:
    # Given two ridges with the same rows and names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ridges, "CARRIED_AT_MOST", most)
        here, there = Played(new()), Played(new())
        for played in (here, there):
            played.play(before)
        # When a fork of one is solved with another ridge while rows and names come and go, and is joined
        fork = here.ridge.fork()
        here.play(meanwhile)
        fork.solve(0.4)
        here.ridge.join(fork)
        here.play(after)
    # Then it answers as the other, solved with that ridge once all had come
    there.play(meanwhile)
    there.play(after)
    there.ridge.solve(0.4)
    assert here.ridge.ridge == 0.4
    torch.testing.assert_close(here.ridge.solved, there.ridge.solved, atol=2e-3, rtol=1e-2)
    torch.testing.assert_close(here.ridge.gram(), there.ridge.gram(), atol=1e-4, rtol=1e-4)


def test_a_fork_that_was_not_solved_changes_nothing() -> None:
    # Given a ridge and a fork of it
    ridge = new()
    ridge.learn(rows(20), torch.ones(20), targets(20))
    before, fork = ridge.solved.clone(), ridge.fork()
    # When it is joined as it is
    ridge.join(fork)
    # Then what was carried along answers on
    assert ridge.ridge == 0.1
    torch.testing.assert_close(ridge.solved, before)


def test_other_sums_that_came_meanwhile_are_in_too() -> None:
    # Given a ridge, a fork of it that is being solved, and sums that are put in meanwhile
    z, y, ridge = rows(60), targets(60), new()
    ridge.learn(z[:30], torch.ones(30), y[:30])
    fork = ridge.fork()
    ridge.put(z[30:].T @ z[30:], y[30:].T @ z[30:])
    # When the fork is solved and joined
    fork.solve(0.4)
    ridge.join(fork)
    # Then the weights are those of all, with the fork's ridge
    torch.testing.assert_close(ridge.solved, batch(z, y, 0.4), atol=1e-3, rtol=1e-2)


class Played:
    """A ridge to which things happen, the same ones for the same steps."""

    def __init__(self, ridge: Ridge) -> None:
        self.ridge = ridge
        self._count = 0
        self._inside: list[tuple[Tensor, int]] = []
        self._named: list[int] = []

    def play(self, steps: list[tuple[str, int]]) -> None:
        for what, number in steps:
            self._count += 1
            getattr(self, f"_{what}")(number)

    def _learn(self, number: int) -> None:
        classes = torch.arange(number) % self.ridge.classes
        come = rows(number, seed=self._count)
        self.ridge.learn(come, torch.ones(number), torch.eye(self.ridge.classes)[classes])
        self._inside += zip(come, classes.tolist(), strict=True)

    def _leave(self, number: int) -> None:
        for row, label in self._inside[:number]:
            self.ridge.learn(row[None], -torch.ones(1), -torch.eye(self.ridge.classes)[label][None])
        del self._inside[:number]

    def _name(self, number: int) -> None:
        if (label := number % self.ridge.classes) not in self._named:
            self.ridge.name([label], rows(1, seed=1000 + self._count))
            self._named.append(label)

    def _unname(self, number: int) -> None:
        if self._named:
            self.ridge.unname([self._named.pop(0)])

    def _ask(self, number: int) -> None:
        assert self.ridge.solved.shape == (self.ridge.classes, WIDTH)

    def _grow(self, number: int) -> None:
        self.ridge.grow(self.ridge.classes + 1)


@pytest.mark.parametrize("rows", [1, 40, 80, 300])
def test_what_is_carried_from_an_empty_state_is_the_batch_solution_to_rounding(rows: int) -> None:
    # Given a small ridge and rows of a few directions, so that P begins a thousand times as large as it ends
    drawn = torch.Generator().manual_seed(rows)
    z = torch.randn(rows, 5, generator=drawn) @ torch.randn(5, 100, generator=drawn) / 20
    targets = torch.eye(4)[torch.arange(rows) % 4]
    ridge = Ridge(100, 0.03)
    ridge.grow(4)
    # When they are learnt one after another from nothing
    for place in range(rows):
        ridge.learn(z[place : place + 1], torch.ones(1), targets[place : place + 1])
    # Then the weights are those of double precision
    exact = z.double()
    wanted = targets.double().T @ exact @ torch.linalg.inv(exact.T @ exact + 0.03 * torch.eye(100).double())
    assert float((ridge.solved.double() - wanted).abs().max()) < 1e-3 * float(wanted.abs().max())
