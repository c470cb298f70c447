"""The task types against their contract, and what is particular to sequence classification."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from daemon.errors import ConfigError, DecodeError
from daemon.events import Event, Input
from daemon.tasks import TASKS, get_task
from daemon.tasks.schema import SCHEMAS, get_schema, input_key
from daemon.tasks.sequence import UNKNOWN, SequenceTask
from strategies.base import Example, Outputs
from tests.models.bases import examples
from tests.tasks.contract import HIDDEN, TaskContract
from tests.tasks.regression import RegressionTask

LABELS = ("lost", "late", "fee")


class TestSequence(TaskContract):
    @pytest.fixture
    def type(self) -> str:
        return "sequence"

    @pytest.fixture
    def labels(self) -> Sequence[str]:
        return LABELS

    @pytest.fixture
    def values(self) -> Sequence[str]:
        return ("late", "lost", "never seen")

    @pytest.fixture
    def bad(self) -> Sequence[Any]:
        return ("", "  ", 1.0, ("a", "b"), "x" * 257)


class TestRegression(TaskContract):
    """The protocol carries a type without classes: a file, and two lines of registration."""

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(SCHEMAS, "regression_test", RegressionTask)
        monkeypatch.setitem(TASKS, "regression_test", "tests.tasks.regression:RegressionTask")

    @pytest.fixture
    def type(self) -> str:
        return "regression_test"

    @pytest.fixture
    def labels(self) -> Sequence[str]:
        return ()

    @pytest.fixture
    def values(self) -> Sequence[float]:
        return (0.5, -1.0, 3.0)

    @pytest.fixture
    def bad(self) -> Sequence[Any]:
        return ("high", float("nan"), ("a",))


def linear(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module


def test_rows_of_old_labels_keep_every_bit_wherever_they_move() -> None:
    # Given a head for two labels
    task = SequenceTask()
    old = task.build_head(HIDDEN, ("a", "b"), None, 1)
    # When labels are added, dropped and moved
    new = task.build_head(HIDDEN, ("new", "b", "other", "a"), (old, ("a", "b")), 2)
    # Then the old rows are the old rows, and the new ones are small
    assert torch.equal(new.weight[[3, 1]], old.weight)
    assert torch.equal(new.bias[[3, 1]], old.bias)
    assert 0 < float(new.weight[[0, 2]].detach().abs().max()) < 0.2


def test_a_label_outside_the_set_has_no_loss_and_counts_as_wrong() -> None:
    task = SequenceTask()
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = task.loss(Outputs(torch.zeros(2, HIDDEN), logits), torch.tensor([UNKNOWN, 1]))
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert loss[0] == 0
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert task.unit_scores(np.eye(3), [UNKNOWN, 1, 2]).tolist() == [[0.0], [1.0], [1.0]]


def test_before_the_first_label_everything_is_wrong_and_nothing_warns() -> None:
    task = SequenceTask()
    head = linear(task.build_head(HIDDEN, (), None, 0))
    answers = task.activate(Outputs(torch.zeros(2, HIDDEN), head(torch.zeros(2, HIDDEN))))
    assert task.unit_scores(answers, [UNKNOWN, UNKNOWN]).tolist() == [[0.0], [0.0]]


def test_a_prediction_has_the_best_label_its_score_and_the_top_k() -> None:
    decoded = SequenceTask().decode(np.array([[0.2, 0.7, 0.1]]), LABELS, 2)
    assert decoded == [{"label": "late", "score": 0.7, "scores": {"late": 0.7, "lost": 0.2}}]
    assert list(decoded[0]["scores"]) == ["late", "lost"]


def test_probabilities_sum_to_one() -> None:
    answers = SequenceTask().activate(Outputs(torch.zeros(4, 2), torch.randn(4, 3) * 30))
    np.testing.assert_allclose(answers.sum(1), 1.0, atol=1e-6)


def test_targets_are_rows_of_the_label_set() -> None:
    batch: list[Example] = examples()[:3]
    assert SequenceTask().collate(batch).tolist() == [0, 1, 2]


def test_a_pair_is_another_input_than_its_texts_joined() -> None:
    schema = get_schema("sequence")
    assert input_key(schema, Input(text="a", text_pair="b")) != input_key(schema, Input(text="a b"))
    with pytest.raises(DecodeError, match="text_pair"):
        schema.validate(Event("e", "t", input=Input(text="a", text_pair=" ")))
    with pytest.raises(DecodeError, match="tokens"):
        schema.validate(Event("e", "t", input=Input(tokens=("a",))))


def test_an_unknown_type_is_named_with_the_known_ones() -> None:
    for get in (get_schema, get_task):
        with pytest.raises(ConfigError, match="'poetry' is no task type; allowed: sequence"):
            get("poetry")


def test_schemas_need_no_torch() -> None:
    code = "import sys, daemon.tasks, daemon.tasks.schema as s; s.get_schema('sequence')\n"
    code += "print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
