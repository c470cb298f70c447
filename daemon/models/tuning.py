"""Which weights an update moves, and how what moved is kept: one function a kind, no merging."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from daemon.config.tune import Tune
from daemon.errors import ConfigError, VersionCorrupt
from daemon.models.encoder import Encoder, quiet

WEIGHTS = "weights.safetensors"
ADAPTER = "adapter"


def apply_tuning(encoder: Encoder, tune: Tune, seed: int) -> None:
    """Make the chosen parameters trainable and all others not. An adapter that was loaded is continued."""
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    _APPLY[tune.kind](encoder, tune, seed)


def _head(encoder: Encoder, tune: Any, seed: int) -> None:
    return


def _last_layers(encoder: Encoder, tune: Any, seed: int) -> None:
    layers = layer_stack(encoder)
    if tune.layers > len(layers):
        raise ConfigError(f"tune.layers: {tune.layers}; {encoder.base.name} has {len(layers)} layers")
    for layer in layers[-tune.layers :]:
        layer.requires_grad_(True)
    _note_changed(encoder)


def _full(encoder: Encoder, tune: Any, seed: int) -> None:
    encoder.transformer.requires_grad_(True)
    if not tune.embeddings:
        encoder.transformer.get_input_embeddings().requires_grad_(False)
    _note_changed(encoder)


def _lora(encoder: Encoder, tune: Any, seed: int) -> None:
    if encoder.peft is None:
        with quiet():
            import peft

        targets = tune.targets or _linear_names(encoder)
        config = peft.LoraConfig(
            r=tune.rank, lora_alpha=tune.alpha, lora_dropout=tune.dropout_ratio, target_modules=targets, bias="none"
        )
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder.adopt(peft.get_peft_model(encoder.transformer, config))
    for name, parameter in encoder.transformer.named_parameters():
        parameter.requires_grad_("lora_" in name)


_APPLY: Mapping[str, Callable[[Encoder, Any, int], None]] = {
    "head": _head,
    "last_layers": _last_layers,
    "lora": _lora,
    "full": _full,
}


def save_delta(encoder: Encoder, tune: Tune, directory: Path) -> None:
    """``adapter/`` in PEFT's own layout, or ``weights.safetensors`` with the changed tensors; nothing for ``head``."""
    if encoder.peft is not None:
        for config in encoder.peft.peft_config.values():
            config.base_model_name_or_path = encoder.base.name
        with quiet():
            encoder.peft.save_pretrained(str(directory / ADAPTER), safe_serialization=True, save_embedding_layers=False)
        (directory / ADAPTER / "README.md").unlink(missing_ok=True)
        return
    if encoder.changed:
        state = encoder.transformer.state_dict()
        tensors = {name: state[name].detach().cpu().contiguous() for name in sorted(encoder.changed)}
        save_file(tensors, str(directory / WEIGHTS))


def load_delta(encoder: Encoder, directory: Path, tune: Mapping[str, Any]) -> None:
    """Lay a version's changes over the base. Raises VersionCorrupt where they do not fit it."""
    if (directory / ADAPTER).is_dir():
        with quiet():
            import peft

            encoder.adopt(
                peft.PeftModel.from_pretrained(
                    encoder.transformer,
                    str(directory / ADAPTER),
                    is_trainable=True,
                    torch_device=str(encoder.device),
                    local_files_only=True,
                )
            )
    elif (directory / WEIGHTS).is_file():
        tensors = load_file(str(directory / WEIGHTS), device=str(encoder.device))
        own = encoder.transformer.state_dict()
        strange = [name for name, tensor in tensors.items() if name not in own or own[name].shape != tensor.shape]
        if strange:
            raise VersionCorrupt(f"{directory / WEIGHTS}: {strange[:3]} do not fit {encoder.base.name}")
        encoder.transformer.load_state_dict(tensors, strict=False)
        encoder.changed = set(tensors)
    encoder.eval()


def layer_stack(encoder: Encoder) -> nn.ModuleList:
    """The stack of transformer layers: the module list as long as the encoder is deep."""
    for module in encoder.transformer.modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.num_layers:
            return module
    raise ConfigError(
        f"tune.kind: last_layers: no stack of {encoder.num_layers} layers in {encoder.base.name}; use lora"
    )


def _linear_names(encoder: Encoder) -> list[str]:
    """The distinct last parts of the linear layers' names inside the stack of layers."""
    stack = layer_stack(encoder)
    names = {name for name, module in stack.named_modules() if isinstance(module, nn.Linear)}
    return sorted({name.split(".", 1)[1] for name in names})


def _note_changed(encoder: Encoder) -> None:
    encoder.changed |= {name for name, p in encoder.transformer.named_parameters() if p.requires_grad}
