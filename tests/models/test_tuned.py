"""Given each kind of tune, then what moves is what was asked for, and what was saved is what is loaded."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from torch import Tensor

from daemon.config.tune import Tune
from daemon.errors import ConfigError, VersionCorrupt
from daemon.models.base import BaseFiles
from daemon.models.encoder import Encoder
from daemon.models.int8 import int8_copy
from daemon.models.tuned import TunedModel, load_tuned, save_tuned, write_base_version
from daemon.models.tuning import apply_tuning
from daemon.registry.version import VersionMeta
from daemon.tasks.sequence import SequenceTask
from strategies.base import Outputs
from tests.models.bases import examples, minilm, tiny

CPU = torch.device("cpu")
LABELS = ("lost", "late", "fee")
KINDS: list[dict[str, Any]] = [
    {"kind": "head"},
    {"kind": "last_layers", "layers": 1},
    {"kind": "lora"},
    {"kind": "full"},
    {"kind": "full", "embeddings": True},
]
every_kind = pytest.mark.parametrize("options", KINDS, ids=["head", "last_layers", "lora", "full", "embeddings"])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseFiles:
    return tiny(tmp_path_factory.mktemp("bert"))


def tune(options: dict[str, Any]) -> Any:
    return TypeAdapter(Tune).validate_python(options)


def meta(base: BaseFiles, options: dict[str, Any]) -> VersionMeta:
    return VersionMeta("support", "sequence", base.name, base.sha256, 128, tune=options)


def build(base: BaseFiles, options: dict[str, Any]) -> TunedModel:
    task = SequenceTask()
    encoder = Encoder.load(base, CPU)
    apply_tuning(encoder, tune(options), 0)
    return TunedModel(encoder, task.build_head(encoder.hidden_size, LABELS, None, 0), LABELS, task)


def train(model: TunedModel, steps: int = 2) -> None:
    model.train()
    optimiser = torch.optim.SGD([p for _, p in model.trainable()], lr=0.5)
    batch = examples()
    for _ in range(steps):
        optimiser.zero_grad()
        model.task.loss(model(batch), model.task.collate(batch)).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    model.eval()


def state(model: TunedModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def logits(model: TunedModel) -> Tensor:
    outputs: Outputs = model(examples())
    return outputs.logits


@every_kind
def test_only_what_was_asked_for_moves(base: BaseFiles, options: dict[str, Any]) -> None:
    model = build(base, options)
    before = state(model)
    train(model)
    moved = {name for name, tensor in state(model).items() if not torch.equal(tensor, before[name])}
    # Then everything that moved may move
    assert moved <= {name for name, _ in model.trainable()}
    encoder = {name for name in moved if name.startswith("encoder.")}
    expected = {
        "head": not encoder,
        "last_layers": encoder and all(".layer.1." in name for name in encoder),
        "lora": encoder and all("lora_" in name for name in encoder),
        "full": encoder and any("word_embeddings" in n for n in encoder) == options.get("embeddings", False),
    }
    assert expected[options["kind"]]
    assert "head.weight" in moved


@every_kind
def test_a_saved_version_answers_as_the_trained_model_bit_for_bit(
    base: BaseFiles, options: dict[str, Any], tmp_path: Path
) -> None:
    model = build(base, options)
    train(model)
    save_tuned(model, tune(options), tmp_path)
    loaded = load_tuned(tmp_path, meta(base, options), CPU)
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.labels == LABELS
    assert not loaded.training
    assert not list(loaded.trainable())
    # Then there is no format but JSON and safetensors
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} <= {".json", ".safetensors"}


def test_weights_hold_only_what_changed(base: BaseFiles, tmp_path: Path) -> None:
    options = {"kind": "last_layers", "layers": 1}
    save_tuned(build(base, options), tune(options), tmp_path)
    assert all(".layer.1." in f".{name}" for name in load_file(str(tmp_path / "weights.safetensors")))


@pytest.mark.parametrize("options", [KINDS[1], KINDS[2], KINDS[3]], ids=["last_layers", "lora", "full"])
def test_an_update_goes_on_from_its_parent(base: BaseFiles, options: dict[str, Any], tmp_path: Path) -> None:
    # Given a trained parent on disk
    parent = build(base, options)
    train(parent)
    save_tuned(parent, tune(options), tmp_path / "1")
    # When it is loaded and made trainable again
    child = load_tuned(tmp_path / "1", meta(base, options), CPU)
    apply_tuning(child.encoder, tune(options), 1)
    assert torch.equal(logits(child), logits(parent))
    child.head.requires_grad_(True)  # type: ignore[union-attr]
    names = {name for name, _ in child.trainable()}
    assert names == {name for name, _ in parent.trainable()}
    train(child)
    # Then it has moved, and what is saved of it is whole
    assert not torch.equal(logits(child), logits(parent))
    save_tuned(child, tune(options), tmp_path / "2")
    assert torch.equal(logits(load_tuned(tmp_path / "2", meta(base, options), CPU)), logits(child))


def test_a_fresh_adapter_changes_nothing_yet_and_the_same_seed_gives_the_same(base: BaseFiles) -> None:
    plain, first, second = build(base, KINDS[0]), build(base, KINDS[2]), build(base, KINDS[2])
    torch.testing.assert_close(logits(first), logits(plain), rtol=0, atol=1e-6)
    assert all(torch.equal(tensor, state(second)[name]) for name, tensor in state(first).items())


def test_frozen_lower_layers_keep_no_graph(base: BaseFiles) -> None:
    # Given the last of two layers trainable
    model = build(base, KINDS[1])
    seen: list[bool] = []
    for layer in model.encoder.transformer.encoder.layer:
        layer.register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    model(examples())
    assert seen == [False, True]


def test_dropout_of_an_adapter_is_its_own(base: BaseFiles) -> None:
    model = build(base, {"kind": "lora", "dropout_ratio": 0.25})
    model.set_dropout(0.1)
    dropouts = {
        ("lora_" in name, m.p)
        for name, m in model.encoder.transformer.named_modules()
        if isinstance(m, torch.nn.Dropout)
    }
    assert dropouts == {(True, 0.25), (False, 0.1)}


def test_more_layers_than_there_are_is_a_clear_error(base: BaseFiles) -> None:
    with pytest.raises(ConfigError, match=r"tune\.layers: 3.* has 2 layers"):
        build(base, {"kind": "last_layers", "layers": 3})


def test_a_base_version_has_no_head_and_no_labels(tmp_path: Path) -> None:
    base = minilm()
    write_base_version(base, "sequence", tmp_path)
    model = load_tuned(tmp_path, meta(base, {"kind": "base"}), CPU)
    assert model.head is None
    assert model.labels == ()
    with pytest.raises(VersionCorrupt, match="no tuned head"):
        model(examples())


def test_another_base_than_the_versions_own_is_refused(base: BaseFiles, tmp_path: Path) -> None:
    write_base_version(base, "sequence", tmp_path)
    about = VersionMeta("support", "sequence", base.name, "0" * 64, 128)
    with pytest.raises(VersionCorrupt, match="install the one it was made with"):
        load_tuned(tmp_path, about, CPU)


def test_classes_that_it_has_seen_too_little_of_are_told(base: BaseFiles, tmp_path: Path) -> None:
    # Given a model that has seen too little of one class
    model = build(base, KINDS[0])
    model.young = frozenset(LABELS[:1])
    # When it is saved and loaded
    save_tuned(model, tune(KINDS[0]), tmp_path)
    # Then that is known, of an int8 copy too, and damage is named
    loaded = load_tuned(tmp_path, meta(base, KINDS[0]), CPU)
    assert loaded.young == int8_copy(loaded).young == {LABELS[0]}
    (tmp_path / "young.json").write_bytes(b"[")
    with pytest.raises(VersionCorrupt, match=r"young\.json cannot be read"):
        load_tuned(tmp_path, meta(base, KINDS[0]), CPU)


def test_damage_is_named(base: BaseFiles, tmp_path: Path) -> None:
    save_tuned(build(base, KINDS[0]), tune(KINDS[0]), tmp_path)
    (tmp_path / "labels.json").write_bytes(b'["lost"]')
    with pytest.raises(VersionCorrupt, match="does not fit 1 labels"):
        load_tuned(tmp_path, meta(base, KINDS[0]), CPU)
    (tmp_path / "labels.json").write_bytes(b"[")
    with pytest.raises(VersionCorrupt, match=r"labels\.json"):
        load_tuned(tmp_path, meta(base, KINDS[0]), CPU)


def test_loading_says_nothing_and_needs_no_network(base: BaseFiles, tmp_path: Path) -> None:
    save_tuned(build(base, KINDS[2]), tune(KINDS[2]), tmp_path)
    code = f"""
import socket, sys
def refuse(*given, **named): raise SystemExit("network")
socket.socket.connect = refuse
import torch
from pathlib import Path
from daemon.models.int8 import int8_copy
from daemon.models.tuned import load_tuned
from daemon.registry.version import VersionMeta
load_tuned(Path({str(tmp_path)!r}), VersionMeta(**{asdict(meta(base, KINDS[2]))!r}), torch.device("cpu"))
"""
    said = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("", "")
