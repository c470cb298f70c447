"""Linear layers in integers: how near, how independent of their neighbours, and what they share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from daemon.config.tune import LoraTune
from daemon.errors import ConfigError
from daemon.models.encoder import Encoder
from daemon.models.int8 import Int8Linear, int8_copy
from daemon.models.tuned import TunedModel
from daemon.models.tuning import apply_tuning
from daemon.tasks import get_task
from tests.models.bases import examples, minilm, tiny

CPU = torch.device("cpu")


def test_a_layer_is_near_its_original_and_each_row_stands_alone() -> None:
    # Given a linear layer and rows of very different sizes
    torch.manual_seed(0)
    linear = nn.Linear(48, 32)
    rows = torch.randn(20, 48) * torch.logspace(-2, 3, 20)[:, None]
    made = Int8Linear(linear.weight, linear.bias)
    with torch.no_grad():
        # Then each row is near, by its own size
        error = (made(rows) - linear(rows)).norm(dim=1) / linear(rows).norm(dim=1)
        assert float(error.max()) < 0.02
        # And the same, to the bit, alone and among others
        assert torch.equal(made(rows), torch.cat([made(row[None]) for row in rows]))
        assert torch.equal(made(rows[None, :2])[0], made(rows[:2]))


def test_a_row_of_zeros_gives_the_bias() -> None:
    linear = nn.Linear(8, 4)
    assert torch.equal(Int8Linear(linear.weight, linear.bias)(torch.zeros(1, 8))[0], linear.bias.detach())
    assert torch.equal(Int8Linear(linear.weight, None)(torch.zeros(1, 8)), torch.zeros(1, 4))


def a_model(encoder: Encoder) -> TunedModel:
    return TunedModel(encoder, None, (), get_task("sequence")).eval()


def test_an_adapter_is_folded_in_and_the_original_is_left_alone(tmp_path: Path) -> None:
    # Given an encoder with an adapter that moved
    encoder = Encoder.load(tiny(tmp_path), CPU)
    apply_tuning(encoder, LoraTune(rank=4), seed=0)
    with torch.no_grad():
        for name, weight in encoder.transformer.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.2)
    model = a_model(encoder)
    batch = examples()
    with torch.no_grad():
        before = model.encoder(batch).pooled
        # When it is copied
        made = int8_copy(model)
        # Then the copy answers nearly as the original, adapter and all, and the original as before
        near = torch.nn.functional.cosine_similarity(made.encoder(batch).pooled, before)
        assert float(near.min()) > 0.99
        assert torch.equal(model.encoder(batch).pooled, before)
    # And embeddings are not held twice
    embeddings = made.encoder.transformer.get_input_embeddings().weight
    assert embeddings is model.encoder.transformer.get_input_embeddings().weight
    assert not any(isinstance(m, nn.Linear) for m in made.encoder.modules())


def test_minilm_in_integers_gives_a_text_the_same_features_in_any_batch() -> None:
    made = int8_copy(a_model(Encoder.load(minilm(), CPU)))
    with torch.no_grad():
        together = made.encoder(examples(), layers=3).features
        alone = torch.cat([made.encoder([example], layers=3).features for example in examples()])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_elsewhere_than_on_a_cpu_it_is_refused(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny(tmp_path), CPU)
    encoder.transformer.to("meta")
    with pytest.raises(ConfigError, match="int8 answers on a CPU"):
        int8_copy(a_model(encoder))
