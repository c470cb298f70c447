"""A version in memory: encoder and tuned head, and how they lie in a version's directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from daemon.config.task import Model
from daemon.config.tune import Tune
from daemon.errors import VersionCorrupt
from daemon.models.base import BaseFiles, resolve_base
from daemon.models.encoder import Encoder
from daemon.models.rows import Rows
from daemon.models.tokens import Tokenizer
from daemon.models.tuning import load_delta, save_delta
from daemon.tasks import get_task
from daemon.tasks.base import Task
from strategies.base import Example, Outputs

HEAD = "head.safetensors"
LABELS = "labels.json"
YOUNG = "young.json"
TOKENIZER = "tokenizer"


class Facts(Protocol):
    """What of a version's manifest is needed to load it (``daemon.registry.version.VersionMeta``)."""

    @property
    def base(self) -> str: ...
    @property
    def base_sha256(self) -> str: ...
    @property
    def task_type(self) -> str: ...
    @property
    def tune(self) -> Mapping[str, Any]: ...


class TunedModel(nn.Module):
    """``head`` is None and ``labels`` empty for a base version (a task without classes has a head and no labels).
    ``young``: those of ``labels`` of which it has seen too few examples to be asked about them beside a fast head."""

    def __init__(
        self,
        encoder: Encoder,
        head: nn.Module | None,
        labels: Sequence[str],
        task: Task,
        young: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.young = young
        self.encoder = encoder
        self.head = head
        self.labels = tuple(labels)
        self.task = task
        self.dropout = nn.Dropout(0.0)
        self._head_rows = Rows()

    def forward(self, examples: Sequence[Example]) -> Outputs:
        """Encoder and head. Raises VersionCorrupt without a head."""
        if self.head is None:
            raise VersionCorrupt("a base version has no tuned head to answer with")
        self._head_rows = Rows()
        encoded = self.encoder(examples)
        self._head_rows = Rows(range(len(examples)), encoded.lengths)
        logits = self.head(self.dropout(encoded.pooled))
        return Outputs(encoded.pooled, logits, encoded.lengths, encoded.hidden)

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad)

    def rows(self, shape: Sequence[int]) -> Tensor | None:
        """See ``strategies.base.Model``: of the encoder's layers, and once they are done, of the head's."""
        rows = self._head_rows if self._head_rows.lengths else self.encoder.rows
        found = rows.of(shape)
        return None if found is None else found.to(self.encoder.device)

    def set_dropout(self, ratio: float) -> None:
        self.encoder.set_dropout(ratio)
        self.dropout.p = ratio


def load_tuned(version_dir: Path, meta: Facts, device: torch.device) -> TunedModel:
    """In eval mode. Raises VersionCorrupt where base, labels or head do not fit one another."""
    base = resolve_base(Model(base=meta.base))
    if base.sha256 != meta.base_sha256:
        raise VersionCorrupt(
            f"{version_dir.name} stands on {meta.base!r} with SHA-256 {meta.base_sha256}, "
            f"installed is {base.sha256}; install the one it was made with"
        )
    task = get_task(meta.task_type)
    encoder = Encoder.load(base, device)
    load_delta(encoder, version_dir, meta.tune)
    labels = _names(version_dir / LABELS)
    young = frozenset(_names(version_dir / YOUNG)) if (version_dir / YOUNG).is_file() else frozenset[str]()
    head: nn.Module | None = None
    if (version_dir / HEAD).is_file():
        head = task.build_head(encoder.hidden_size, labels, None, 0)
        try:
            head.load_state_dict(load_file(str(version_dir / HEAD)))
        except (RuntimeError, SafetensorError) as error:
            raise VersionCorrupt(f"{version_dir / HEAD} does not fit {len(labels)} labels: {error}") from error
        head.to(device)
    model = TunedModel(encoder, head, labels, task, young)
    model.requires_grad_(False)
    return model.eval()


def _names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError) as error:
        raise VersionCorrupt(f"{path} cannot be read: {error}") from error


def save_tuned(model: TunedModel, tune: Tune, directory: Path) -> None:
    """Everything of a version but its strategies' state, its fast head and its manifest."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / LABELS).write_bytes(orjson.dumps(list(model.labels)))
    if model.young:
        (directory / YOUNG).write_bytes(orjson.dumps(sorted(model.young)))
    if model.head is not None:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.head.state_dict().items()}
        save_file(tensors, str(directory / HEAD))
    save_delta(model.encoder, tune, directory)
    Tokenizer.load(model.encoder.base.path).save(directory / TOKENIZER)


def write_base_version(base: BaseFiles, task_type: str, directory: Path) -> None:
    """A version with no classes: the base encoder as it is."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / LABELS).write_bytes(b"[]")
    Tokenizer.load(base.path).save(directory / TOKENIZER)
