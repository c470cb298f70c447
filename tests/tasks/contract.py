"""What every task type must hold to. Subclass, and give the fixtures below."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from daemon.errors import DecodeError
from daemon.events import Event, Input, LabelValue
from daemon.models.tokens import Tokenizer
from daemon.tasks import get_task
from daemon.tasks.base import Task
from daemon.tasks.schema import get_schema, input_key
from strategies.base import Outputs
from tests.models.bases import base_tokenizer

HIDDEN = 8


class TaskContract:
    """Fixtures: ``type``, ``labels`` (the label set), ``values`` (labels of three events), ``bad`` (labels refused)."""

    @pytest.fixture
    def task(self, type: str) -> Task:  # noqa: A002
        return get_task(type)

    @pytest.fixture
    def tokenizer(self) -> Tokenizer:
        return base_tokenizer()

    def outputs(self, task: Task, labels: Sequence[str], rows: int = 3) -> Outputs:
        pooled = torch.randn(rows, HIDDEN, generator=torch.Generator().manual_seed(0))
        return Outputs(pooled, task.build_head(HIDDEN, labels, None, 0)(pooled))

    def targets(self, task: Task, tokenizer: Tokenizer, values: Sequence[LabelValue], labels: Sequence[str]) -> Any:
        examples = [task.encode(str(i), Input(text="x"), v, labels, tokenizer, 16) for i, v in enumerate(values)]
        return task.collate(examples), [example.target for example in examples]

    def test_schema_and_task_are_of_one_type(self, task: Task, type: str) -> None:  # noqa: A002
        schema = get_schema(type)
        assert (schema.type, schema.metric, schema.has_classes) == (task.type, task.metric, task.has_classes)

    def test_good_labels_pass_and_bad_ones_are_refused(
        self, task: Task, values: Sequence[LabelValue], bad: Sequence[Any]
    ) -> None:
        for label in (*values, None):
            task.validate(Event("e", "t", input=Input(text="x"), label=label))
        for label in bad:
            with pytest.raises(DecodeError, match="'e'"):
                task.validate(Event("e", "t", input=Input(text="x"), label=label))

    def test_a_label_alone_is_checked_as_well(self, task: Task, bad: Sequence[Any]) -> None:
        with pytest.raises(DecodeError):
            task.validate(Event("e", "t", label=bad[0]))

    def test_an_empty_text_is_refused(self, task: Task) -> None:
        with pytest.raises(DecodeError, match="empty"):
            task.validate(Event("e", "t", input=Input(text=" \n")))

    def test_inputs_that_normalise_alike_share_their_key(self, task: Task) -> None:
        key = input_key(task, Input(text="one  two "))
        assert len(key) == 16
        assert key == input_key(task, Input(text="one\ttwo"))
        assert key == input_key(task, Input(text="ｏｎｅ two"))
        assert key != input_key(task, Input(text="One two"))

    def test_loss_is_finite_per_example_and_reaches_the_head(
        self, task: Task, tokenizer: Tokenizer, values: Sequence[LabelValue], labels: Sequence[str]
    ) -> None:
        targets, _ = self.targets(task, tokenizer, values, labels)
        outputs = self.outputs(task, labels)
        loss = task.loss(outputs, targets)
        assert loss.shape == (3,)
        assert torch.isfinite(loss).all()
        loss.sum().backward()  # type: ignore[no-untyped-call]

    def test_a_head_is_the_same_for_the_same_seed_and_leaves_the_global_generator_alone(
        self, task: Task, labels: Sequence[str]
    ) -> None:
        before = torch.get_rng_state()
        first, second = (task.build_head(HIDDEN, labels, None, 3).state_dict() for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert torch.equal(before, torch.get_rng_state())

    def test_a_head_built_on_itself_keeps_every_bit(self, task: Task, labels: Sequence[str]) -> None:
        old = task.build_head(HIDDEN, labels, None, 1)
        new = task.build_head(HIDDEN, labels, (old, labels), 2)
        assert all(torch.equal(tensor, new.state_dict()[name]) for name, tensor in old.state_dict().items())

    def test_answers_decode_to_json(self, task: Task, labels: Sequence[str]) -> None:
        answers = task.activate(self.outputs(task, labels))
        assert len(answers) == 3
        decoded = task.decode(answers, labels, 2)
        assert len(decoded) == 3
        json.dumps(decoded, allow_nan=False)

    def test_unit_scores_are_one_row_a_label_and_aggregate_to_a_number(
        self, task: Task, tokenizer: Tokenizer, values: Sequence[LabelValue], labels: Sequence[str]
    ) -> None:
        _, targets = self.targets(task, tokenizer, values, labels)
        units = task.unit_scores(task.activate(self.outputs(task, labels)), targets)
        assert units.ndim == 2
        assert len(units) == 3
        assert np.isfinite(task.aggregate(units))
