"""The encoder: a transformers model that reads packed texts and gives pooled features."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # files are found by daemon.models.base; loading them never reaches the network

import structlog
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from daemon.errors import ConfigError
from daemon.models.base import BaseFiles
from daemon.models.packing import NAME, Packed, attend, mean_by_text, pack
from daemon.models.prefix import Prefix, Shortened
from daemon.models.rows import Rows
from strategies.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)

PROBE_TOLERANCE = 1e-4
MICRO_BATCH = 16
"""Texts of one padded micro-batch, sorted by length, for architectures that packing does not know."""


@dataclass(slots=True)
class Encoded:
    """``pooled``: [B, H]; ``features``: [B, layers * H] or None; ``hidden``: [T, H], tokens of the texts in
    the order of the examples; ``lengths``: tokens of each."""

    pooled: Tensor
    features: Tensor | None
    hidden: Tensor
    lengths: tuple[int, ...]


class Encoder(nn.Module):
    """``transformer``: the transformers model; ``peft``: the PEFT model around it, once it has an adapter;
    ``changed``: names of base tensors that differ from the base; ``rows``: whose tokens its layers now see."""

    def __init__(self, transformer: Any, base: BaseFiles, packed: bool) -> None:
        super().__init__()
        self.transformer = transformer
        self.base = base
        self.packed = packed
        self.first_position = 0
        self._dense = transformer.config._attn_implementation
        self.changed: set[str] = set()
        self.rows = Rows()
        self._peft: list[Any] = []
        self._shortened: Shortened | None = None

    @classmethod
    def load(cls, base: BaseFiles, device: torch.device, packed: bool | None = None) -> Encoder:
        """Weights from safetensors, no remote code, no network, in eval mode and without dropout.

        ``packed`` None: packed where a probe agrees with padding (else a log line says that it is not); True:
        the same, but ConfigError where it is not; False: sorted padded micro-batches.
        """
        with quiet():
            from transformers import AutoModel

            transformer = AutoModel.from_pretrained(
                str(base.path),
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
            )
        if getattr(transformer, "pooler", None) is not None:
            transformer.pooler = None
        encoder = cls(transformer.to(device).eval(), base, False)
        encoder.set_dropout(0.0)
        known = encoder._packable() if packed is not False else False
        if packed and not known:
            raise ConfigError(f"model.base: {base.name!r}: packed texts give other outputs than padded ones")
        encoder.packed = known
        encoder._choose_attention()
        if not encoder.packed and packed is None:
            log.warning("not_packable", base=base.name, using="sorted padded micro-batches")
        return encoder

    @property
    def hidden_size(self) -> int:
        return int(self.transformer.config.hidden_size)

    @property
    def num_layers(self) -> int:
        return int(self.transformer.config.num_hidden_layers)

    @property
    def device(self) -> torch.device:
        device: torch.device = next(self.transformer.parameters()).device
        return device

    @property
    def peft(self) -> Any | None:
        return self._peft[0] if self._peft else None

    def adopt(self, peft: Any) -> None:
        """Keep the PEFT model around the transformer (in a list, so that it is not registered as a module)."""
        self._peft = [peft]

    def set_dropout(self, ratio: float) -> None:
        """Of the transformer's own layers; an adapter's dropout is ``tune.dropout_ratio``'s."""
        for name, module in self.transformer.named_modules():
            if isinstance(module, nn.Dropout) and "lora_" not in name:
                module.p = ratio

    def shorten(self, layers: Sequence[nn.Module], prefix: Prefix) -> None:
        """Let ``prefix`` remember what the lowest of its ``layers`` give, from now on: none of their weights may move.

        Where texts are packed; features then reach down to the prefix's top, not below it."""
        if self.packed:
            self._shortened = Shortened(layers, prefix, self._whole)

    def forward(self, examples: Sequence[Example], layers: int = 0) -> Encoded:
        """Encode; results are in the order of ``examples``. ``layers``: how many of the last layers make features."""
        if layers > self.num_layers:
            raise ConfigError(f"head.layers: {layers}; {self.base.name} has {self.num_layers}")
        if not examples:
            none = torch.zeros(0, self.hidden_size, device=self.device)
            features = torch.zeros(0, layers * self.hidden_size, device=self.device) if layers else None
            return Encoded(none, features, none, ())
        if self.packed:
            return self._packed(examples, layers)
        return self._padded(examples, layers)

    def _choose_attention(self) -> None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        if self.packed:
            ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
            self.transformer.config._attn_implementation = NAME
        else:
            self.transformer.config._attn_implementation = self._dense

    def _packed(self, examples: Sequence[Example], layers: int) -> Encoded:
        packed = pack(examples, self.device, self.first_position)
        self.rows = Rows(packed.order, packed.lengths)
        if self._shortened is None:
            outputs = self._whole(packed, layers > 1)
        else:
            outputs = self._shortened.run(examples, packed, self.first_position, layers > 1)
        last = outputs.last_hidden_state[0]
        back = torch.tensor(packed.back, device=self.device)
        pooled = mean_by_text(last, packed.runs)[back]
        features = None
        if layers:
            states = [last] if layers == 1 else [state[0] for state in outputs.hidden_states[-layers:]]
            features = _features([mean_by_text(state, packed.runs)[back] for state in states])
        return Encoded(pooled, features, _unpack(last, packed), tuple(len(e.token_ids) for e in examples))

    def _whole(self, packed: Packed, deep: bool) -> Any:
        return self.transformer(
            input_ids=packed.input_ids,
            position_ids=packed.position_ids,
            **self._type_ids(packed.token_type_ids),
            output_hidden_states=deep,
            retaind_pack=packed,
        )

    def _padded(self, examples: Sequence[Example], layers: int) -> Encoded:
        order = sorted(range(len(examples)), key=lambda i: len(examples[i].token_ids))
        rows: dict[int, tuple[Tensor, Tensor | None, Tensor]] = {}
        for start in range(0, len(order), MICRO_BATCH):
            places = order[start : start + MICRO_BATCH]
            self.rows = Rows(places, [len(examples[places[-1]].token_ids)] * len(places))
            rows.update(zip(places, self._micro_batch([examples[i] for i in places], layers), strict=True))
        chosen = [rows[i] for i in range(len(examples))]
        features = torch.stack([row[1] for row in chosen if row[1] is not None]) if layers else None
        hidden = torch.cat([row[2] for row in chosen])
        pooled = torch.stack([row[0] for row in chosen])
        return Encoded(pooled, features, hidden, tuple(len(e.token_ids) for e in examples))

    def _micro_batch(self, examples: Sequence[Example], layers: int) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
        lengths = [len(example.token_ids) for example in examples]
        ids = torch.full((len(examples), max(lengths)), self._pad_id)
        types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, example in enumerate(examples):
            ids[row, : lengths[row]] = torch.tensor(example.token_ids)
            mask[row, : lengths[row]] = 1
            if example.token_type_ids:
                types[row, : lengths[row]] = torch.tensor(example.token_type_ids)
        mask = mask.to(self.device)
        outputs = self.transformer(
            input_ids=ids.to(self.device),
            attention_mask=mask,
            **self._type_ids(types.to(self.device)),
            output_hidden_states=layers > 1,
        )
        last = outputs.last_hidden_state
        weights = mask[..., None].to(last.dtype)
        states = [last] if layers <= 1 else list(outputs.hidden_states[-layers:])
        means = [(state * weights).sum(1) / weights.sum(1) for state in states]
        features = _features(means) if layers else None
        for row, length in enumerate(lengths):
            yield means[-1][row], None if features is None else features[row], last[row, :length]

    @property
    def _pad_id(self) -> int:
        return int(getattr(self.transformer.config, "pad_token_id", None) or 0)

    def _type_ids(self, types: Tensor) -> dict[str, Tensor]:
        return {"token_type_ids": types} if getattr(self.transformer.config, "type_vocab_size", 0) > 1 else {}

    @torch.no_grad()
    def _packable(self) -> bool:
        """Whether a packed probe gives what padding gives. Any failure means no: padding always works.

        Positions start at 0, or behind the padding token's id (RoBERTa and its kin).
        """
        size = int(getattr(self.transformer.config, "vocab_size", 0))
        probe = [Example("", tuple(2 + (7 * i + n) % (size - 2) for i in range(n)), 0) for n in (5, 9, 5)]
        reference = self._padded(probe, 1)
        self.packed = True
        self._choose_attention()
        try:
            for first in (0, self._pad_id + 1):
                self.first_position = first
                found = self._packed(probe, 1)
                if bool((found.hidden - reference.hidden).abs().max() < PROBE_TOLERANCE):
                    return True
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError):
            return False
        finally:
            self.packed = False
            self._choose_attention()
        return False


def _features(means: Sequence[Tensor]) -> Tensor:
    """Each [B, H] L2-normalised, concatenated, over the root of their number: unit length."""
    joined = torch.cat([normalize(mean, dim=-1) for mean in means], -1)
    return joined / float(len(means) ** 0.5)


def _unpack(hidden: Tensor, packed: Packed) -> Tensor:
    """[T, H] in the order of the pack -> in the order of the examples."""
    parts = torch.split(hidden, list(packed.lengths))
    return torch.cat([parts[i] for i in packed.back])


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, load reports or deprecation notices of third parties."""
    from transformers.utils import logging as hf_logging

    hf_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
