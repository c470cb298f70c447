"""Given layers that do not move, when texts are read again, then they enter above them, and nothing else differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from daemon.models.base import BaseFiles
from daemon.models.encoder import Encoder
from daemon.models.prefix import Prefix
from daemon.models.tuning import layer_stack
from strategies.base import Example
from tests.models.bases import examples, minilm, tiny

NEAR: dict[str, Any] = {"rtol": 0.0, "atol": 1e-5}
CPU = torch.device("cpu")


@pytest.fixture(params=["BertConfig", "RobertaConfig", "DistilBertConfig", "minilm"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> BaseFiles:
    if request.param == "minilm":
        return minilm()
    return tiny(tmp_path, request.param, num_hidden_layers=4)


def shortened(base: BaseFiles, prefix: Prefix) -> Encoder:
    encoder = Encoder.load(base, CPU)
    encoder.shorten(list(layer_stack(encoder)), prefix)
    return encoder


@torch.no_grad()
def test_outputs_are_those_of_the_whole_encoder(base: BaseFiles) -> None:
    # Given an encoder whose lowest layers are remembered
    whole = Encoder.load(base, CPU)
    prefix = Prefix(whole.num_layers - 2)
    short = shortened(base, prefix)
    wanted = whole(examples(), layers=3)
    # When texts are read for the first time, again, and in another order with one twice
    for _ in range(2):
        found = short(examples(), layers=3)
        # Then nothing differs
        torch.testing.assert_close(found.pooled, wanted.pooled, **NEAR)
        torch.testing.assert_close(found.features, wanted.features, **NEAR)
        torch.testing.assert_close(found.hidden, wanted.hidden, **NEAR)
    turned = [*reversed(examples()), examples()[0]]
    torch.testing.assert_close(short(turned, layers=3).features, whole(turned, layers=3).features, **NEAR)
    # And each text was remembered once
    assert len(prefix) == (len(examples()) if whole.packed else 0)


@torch.no_grad()
def test_a_pair_is_no_single_text_of_the_same_tokens() -> None:
    # Given the same tokens as one text, and as two
    ids = examples()[0].token_ids
    one = Example("", ids, None)
    second = len(ids) // 2
    two = replace(one, token_type_ids=(0,) * (len(ids) - second) + (1,) * second)
    whole, short = Encoder.load(minilm(), CPU), shortened(minilm(), Prefix(4))
    # When both are read, one after the other, then each gets its own
    for example in (one, two):
        torch.testing.assert_close(short([example]).pooled, whole([example]).pooled, **NEAR)


def test_lower_layers_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an encoder that counts what its first and its last layer do
    encoder = Encoder.load(minilm(), CPU)
    layers, ran = list(layer_stack(encoder)), []
    for name, layer in (("first", layers[0]), ("last", layers[-1])):
        run = layer.forward

        def count(*args: Any, name: str = name, run: Any = run, **kwargs: Any) -> Any:
            ran.append(name)
            return run(*args, **kwargs)

        monkeypatch.setattr(layer, "forward", count)
    encoder.shorten(layers, Prefix(4))
    # When the same texts are read three times
    for _ in range(3):
        encoder(examples())
    # Then the first layer ran once, the last one each time
    assert ran == ["first", "last", "last", "last"]


def _gradients(encoder: Encoder) -> dict[str, Tensor]:
    for layer in layer_stack(encoder)[-2:]:
        layer.requires_grad_(True)
    loss = (encoder(examples()).pooled[:, 0] ** 2).sum()
    loss.backward()
    return {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}


def test_gradients_above_are_the_same() -> None:
    # Given two encoders of which the last two layers move, one of them shortened
    whole, short = Encoder.load(minilm(), CPU), shortened(minilm(), Prefix(4))
    for encoder in (whole, short):
        encoder.requires_grad_(False)
    # When both are differentiated
    wanted, found = _gradients(whole), _gradients(short)
    # Then the gradients are the same
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, **NEAR)


@torch.no_grad()
def test_memory_is_bounded() -> None:
    # Given room for the first texts only
    texts = examples()
    row = 4 * 384 * len(texts[0].token_ids)
    prefix = Prefix(4, max_bytes=row)
    short, whole = shortened(minilm(), prefix), Encoder.load(minilm(), CPU)
    # When all are read twice, then the outputs are right, and no more is remembered
    for _ in range(2):
        torch.testing.assert_close(short(texts).pooled, whole(texts).pooled, **NEAR)
    assert 1 <= len(prefix) < len(texts)
