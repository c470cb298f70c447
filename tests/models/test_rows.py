"""Whose tokens a layer sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from daemon.models.encoder import Encoder
from daemon.models.rows import Rows
from daemon.models.tuned import TunedModel
from daemon.tasks.sequence import SequenceTask
from tests.models.bases import examples, tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((1, 6), [2, 0, 0, 1, 1, 1]),
        ((6,), [2, 0, 0, 1, 1, 1]),
        ((3,), [2, 0, 1]),
        ((1, 3), None),
        ((1, 7), None),
    ],
)
def test_rows_are_tokens_or_examples_or_unknown(shape: tuple[int, ...], rows: list[int] | None) -> None:
    # Given three texts of 1, 2 and 3 tokens, the third first, Then a row is told by the size of the input
    found = Rows((2, 0, 1), (1, 2, 3)).of(shape)
    assert (None if found is None else found.tolist()) == rows


def watched(model: TunedModel) -> Iterator[tuple[nn.Module, Tensor | None]]:
    """Each linear layer and the rows of its input, as a hook is told."""
    seen: list[tuple[nn.Module, Tensor | None]] = []

    def watch(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((module, model.rows(given[0].shape[:-1])))

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(watch)
    with torch.no_grad():
        model.forward(examples())
    yield from seen


@pytest.mark.parametrize("packed", [True, False])
def test_every_layer_of_a_model_is_told_whose_its_rows_are(tmp_path: Path, packed: bool) -> None:
    # Given seven texts of different lengths, packed or padded
    task = SequenceTask()
    encoder = Encoder.load(tiny(tmp_path), CPU, packed=packed)
    model = TunedModel(encoder, task.build_head(32, ("a", "b"), None, 0), ("a", "b"), task)
    lengths = [len(example.token_ids) for example in examples()]
    # When hooks ask, Then the encoder's layers see each text's tokens (padded: as many as the longest has)
    for module, rows in watched(model):
        assert rows is not None
        counts = torch.bincount(rows).tolist()
        if module is model.head:
            assert rows.tolist() == list(range(7))
        else:
            assert counts == (lengths if packed else [max(lengths)] * 7)
