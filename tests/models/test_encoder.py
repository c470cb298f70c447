"""Given texts of different lengths, when they are packed, then nothing but the time differs from padding."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from daemon.errors import ConfigError
from daemon.models import packing
from daemon.models.base import BaseFiles
from daemon.models.encoder import Encoder
from tests.models.bases import TEXTS, examples, minilm, tiny

CPU = torch.device("cpu")
NEAR: dict[str, Any] = {"rtol": 0.0, "atol": 1e-5}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["minilm", "tiny"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BaseFiles:
    return minilm() if request.param == "minilm" else tiny(tmp_path_factory.mktemp("bert"))


@cache
def load(base: BaseFiles, packed: bool | None = None) -> Encoder:
    return Encoder.load(base, CPU, packed)


@torch.no_grad()
def test_packed_outputs_are_the_padded_ones(base: BaseFiles) -> None:
    packed, padded = load(base), load(base, False)
    assert packed.packed
    assert not padded.packed
    ours, theirs = packed(examples(), layers=2), padded(examples(), layers=2)
    torch.testing.assert_close(ours.pooled, theirs.pooled, **NEAR)
    torch.testing.assert_close(ours.hidden, theirs.hidden, **NEAR)
    torch.testing.assert_close(ours.features, theirs.features, **NEAR)
    assert ours.lengths == theirs.lengths


def _loss(encoder: Encoder) -> tuple[Tensor, dict[str, Tensor]]:
    encoder.requires_grad_(True)
    encoder.zero_grad()
    head = torch.randn(3, encoder.hidden_size, generator=torch.Generator().manual_seed(1)) * 0.1
    batch = examples()
    targets = torch.tensor([example.target for example in batch])
    loss = cross_entropy(encoder(batch).pooled @ head.T, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach(), {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


def test_loss_and_gradients_are_the_padded_ones(base: BaseFiles) -> None:
    (packed_loss, packed), (padded_loss, padded) = _loss(load(base)), _loss(load(base, False))
    torch.testing.assert_close(packed_loss, padded_loss, **NEAR)
    assert packed.keys() == padded.keys()
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, padded[name], **NEAR, msg=name)


@pytest.mark.parametrize("packed", [None, False])
@torch.no_grad()
def test_a_text_does_not_depend_on_its_batch_mates_nor_on_their_order(base: BaseFiles, packed: bool | None) -> None:
    encoder, batch = load(base, packed), examples()
    together = encoder(batch, layers=2)
    backwards = encoder(batch[::-1], layers=2)
    torch.testing.assert_close(together.pooled, backwards.pooled.flip(0), **NEAR)
    tokens = torch.split(together.hidden, together.lengths)
    for row, example in enumerate(batch):
        alone = encoder([example], layers=2)
        torch.testing.assert_close(together.pooled[row], alone.pooled[0], **NEAR)
        torch.testing.assert_close(together.features[row], alone.features[0], **NEAR)
        torch.testing.assert_close(tokens[row], alone.hidden, **NEAR)


@torch.no_grad()
def test_pooled_is_what_sentence_transformers_computes() -> None:
    # Given the plain transformers model on one text
    from transformers import AutoModel

    batch = examples(TEXTS[:1])
    reference = AutoModel.from_pretrained(str(minilm().path)).eval()
    expected = reference(torch.tensor([batch[0].token_ids])).last_hidden_state[0].mean(0)
    torch.testing.assert_close(load(minilm())(batch).pooled[0], expected, **NEAR)


@torch.no_grad()
def test_features_are_unit_vectors_of_as_many_layers_as_asked_for() -> None:
    encoder = load(minilm())
    for layers in (1, 3, 6):
        features = encoder(examples(), layers=layers).features
        assert features.shape == (len(TEXTS), layers * encoder.hidden_size)
        torch.testing.assert_close(features.norm(dim=1), torch.ones(len(TEXTS)))
    assert encoder(examples()).features is None
    with pytest.raises(ConfigError, match=r"head\.layers: 7"):
        encoder(examples(), layers=7)


@torch.no_grad()
def test_attention_as_off_the_cpu_gives_the_same(base: BaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load(base)
    expected = encoder(examples(), layers=1)
    # When attention is one masked call on a padded grid
    plain = packing.pack

    def on_a_grid(batch: Any, device: torch.device, first_position: int = 0) -> packing.Packed:
        return plain(batch, device, first_position, grid=True)

    monkeypatch.setattr("daemon.models.encoder.pack", on_a_grid)
    found = encoder(examples(), layers=1)
    torch.testing.assert_close(found.hidden, expected.hidden, **NEAR)
    torch.testing.assert_close(found.pooled, expected.pooled, **NEAR)


@pytest.mark.parametrize("packed", [None, False])
def test_no_texts_give_no_rows(base: BaseFiles, packed: bool | None) -> None:
    encoder = load(base, packed)
    encoded = encoder([], layers=2)
    assert encoded.pooled.shape == (0, encoder.hidden_size)
    assert encoded.features.shape == (0, 2 * encoder.hidden_size)


@pytest.mark.parametrize(
    ("config", "changes", "packable"),
    [
        ("RobertaConfig", {"max_position_embeddings": 200}, True),
        ("AlbertConfig", {"embedding_size": 16}, True),
        ("ElectraConfig", {"embedding_size": 16}, True),
        ("ModernBertConfig", dict.fromkeys(("pad", "bos", "eos", "cls", "sep"), 0), False),
        ("MPNetConfig", {}, False),
        ("DebertaV2Config", {}, False),
    ],
)
@torch.no_grad()
def test_every_architecture_gives_what_transformers_gives(
    tmp_path: Path, config: str, changes: dict[str, Any], packable: bool
) -> None:
    from transformers import AutoModel

    if "pad" in changes:
        changes = {f"{name}_token_id": value for name, value in changes.items()}
    files = tiny(tmp_path, config, **changes)
    # When the probe has decided
    encoder = Encoder.load(files, CPU)
    assert encoder.packed is packable
    # Then each text is what the plain model gives for it alone, longer than any attention window
    batch = examples((*TEXTS, "word " * 100))
    reference = AutoModel.from_pretrained(str(files.path)).eval()
    found = torch.split(encoder(batch).hidden, encoder(batch).lengths)
    for example, hidden in zip(batch, found, strict=True):
        ids = torch.tensor([example.token_ids])
        expected = reference(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        torch.testing.assert_close(hidden, expected, **NEAR)
    if not packable:
        with pytest.raises(ConfigError, match="packed"):
            Encoder.load(files, CPU, packed=True)
