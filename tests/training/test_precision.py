"""Given a training in mixed precision, then its products are bfloat16, and what is kept of it is fp32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from daemon.config.task import Precision
from daemon.config.tune import LastLayersTune
from daemon.models import packing
from daemon.models.encoder import Encoder
from daemon.models.prefix import Prefix
from daemon.models.tuned import TunedModel
from daemon.models.tuning import apply_tuning, layer_stack
from daemon.tasks import get_task
from daemon.training.precision import forward_in
from strategies.base import Outputs
from tests.models.bases import examples, minilm
from tests.training import jobs
from tests.training.test_attempt import NCM, attempt, two_classes

CPU = torch.device("cpu")
LABELS = ("card", "fee", "limit")


def model() -> TunedModel:
    """MiniLM, of which the last two layers and a head move."""
    task, encoder = get_task("sequence"), Encoder.load(minilm(), CPU)
    apply_tuning(encoder, LastLayersTune(layers=2), 0)
    return TunedModel(encoder, task.build_head(encoder.hidden_size, LABELS, None, 0), LABELS, task).eval()


def step(made: TunedModel, precision: Precision) -> tuple[Outputs, Sequence[Tensor]]:
    """Outputs and gradients of one batch."""
    made.zero_grad()
    outputs = forward_in(precision, made, CPU)(examples())
    targets = torch.tensor([row.target for row in examples()])
    torch.nn.functional.cross_entropy(outputs.logits, targets).backward()  # type: ignore[no-untyped-call]
    return outputs, [weights.grad.clone() for _, weights in made.trainable() if weights.grad is not None]


def test_outputs_and_gradients_are_fp32_and_near_those_of_fp32() -> None:
    # Given one model, When it makes a step's way there and back in either precision
    made = model()
    (exact, wanted), (found, gradients) = step(made, "fp32"), step(made, "bf16")
    # Then outputs and gradients are fp32
    assert found.hidden is not None
    assert {t.dtype for t in (found.pooled, found.logits, found.hidden, *gradients)} == {torch.float32}
    # and those of bfloat16 products: near, and not the same
    torch.testing.assert_close(found.logits, exact.logits, rtol=0.02, atol=0.02)
    assert not torch.equal(found.logits, exact.logits)
    one, other = (torch.cat([gradient.flatten() for gradient in each]) for each in (gradients, wanted))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99


def test_attention_is_fp32_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given attention that tells what it works in, and whether it would be turned into something else
    real, told = torch.nn.functional.scaled_dot_product_attention, set[tuple[torch.dtype, bool]]()

    def attention(query: Tensor, *rest: Any, **options: Any) -> Tensor:
        told.add((query.dtype, torch.is_autocast_enabled("cpu")))
        return real(query, *rest, **options)

    monkeypatch.setattr(packing, "scaled_dot_product_attention", attention)
    # When a step runs in mixed precision, Then it is fp32, there and so on the way back, which is slow in bfloat16
    step(model(), "bf16")
    assert told == {(torch.float32, False)}


def test_what_is_remembered_below_the_layers_that_move_is_fp32() -> None:
    # Given an encoder that remembers its lowest four layers, as another does that trains in fp32
    kept = []
    for precision in get_args(Precision):
        made, prefix = model(), Prefix(4)
        made.encoder.shorten(list(layer_stack(made.encoder)), prefix)
        # When a step in mixed precision is the first to read the texts
        step(made, precision)
        kept.append([prefix.get((row.token_ids, row.token_type_ids)) for row in examples()])
    # Then what it remembers has the same bits, and scores and features of it are those of fp32
    for exact, found in zip(*kept, strict=True):
        assert exact is not None
        assert found is not None
        assert torch.equal(exact, found)


def test_an_update_in_mixed_precision_scores_in_fp32_and_gives_the_same_bits_again(tmp_path: Path) -> None:
    # Given a job in fp32 and the same in mixed precision, this one done twice
    base = jobs.base_version(tmp_path / "000001")
    scores, heads = [], []
    for name, precision in (("fp32", "fp32"), ("bf16", "bf16"), ("again", "bf16")):
        training = {**jobs.SMALL["training"], "precision": precision}
        job = jobs.write(tmp_path / name, base, two_classes(), ["card", "fee"], training=training, head=NCM)
        attempt(job, tmp_path / f"{name}-1")
        scores.append(load_file(tmp_path / f"{name}-1" / "scores.safetensors"))
        heads.append((tmp_path / f"{name}-1" / "version" / "head.safetensors").read_bytes())
    # Then the champion, which was not trained, has the same scores to the bit
    assert all((found["champion"] == scores[0]["champion"]).all() for found in scores)
    # and the candidate is another, the same each time
    assert heads[0] != heads[1] == heads[2]
