"""What answers: a version's model and the fast head's weights at one cursor, as one immutable thing.

Guarantees:

1. Every answer carries the version and ``labels_seen`` of exactly the weights that made it.
2. Text is tokenised by the version's own tokenizer.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daemon.errors import VersionCorrupt
from daemon.events import Input, LabelValue
from daemon.heads.outputs import Fast, HeadOutputs, join
from daemon.heads.ports import FastWeights
from daemon.models.int8 import int8_copy
from daemon.models.tokens import Tokenizer
from daemon.models.tuned import TunedModel
from daemon.registry.version import Version
from daemon.serving.batching import pieces
from daemon.tasks.base import Floats, Task
from strategies.base import Example, Outputs

FORWARD_TOKENS, CPU_FORWARD_TOKENS = 8192, 2048
"""Longer lists are cut into forwards of at most so many tokens; on a CPU the smaller ones stay in its cache."""

PROBES = (Input(text="ok"), Input(text="a probe of some words, so that a batch has rows of different lengths"))
NO_LABELS: Mapping[str, Any] = {"label": None, "reason": "no_labels_yet"}


class ServedModel:
    """Immutable. ``blend`` is the tuned head's weight in the answer; ``weights`` None: it answers alone.
    ``quick``: the int8 copy of ``model`` that answers first; None: ``model`` answers."""

    def __init__(
        self,
        version: Version,
        model: TunedModel,
        tokenizer: Tokenizer,
        weights: FastWeights | None,
        blend: float,
        task: Task,
        quick: TunedModel | None = None,
        recheck_odds: float = 1.0,
    ) -> None:
        self.version = version
        self.model = model
        self.tokenizer = tokenizer
        self.weights = weights
        self.blend = blend
        self.task = task
        self.quick = quick
        self.recheck_odds = recheck_odds
        tuned = tuple(model.labels)
        known = set(tuned)
        self.labels: tuple[str, ...] = (*tuned, *(x for x in (weights.labels if weights else ()) if x not in known))
        """All that can be answered: the tuned head's classes, then those only the fast head has."""

    @property
    def version_id(self) -> str:
        return self.version.id

    @property
    def labels_seen(self) -> int:
        """``seq`` of the last change that the answer knows of."""
        return self.version.meta.cursor if self.weights is None else self.weights.cursor

    @property
    def encoding(self) -> Hashable:
        """Equal for models that tokenise alike, so that waiting requests need not be tokenised again."""
        files = {name: sha256 for name, sha256 in self.version.files.items() if name.startswith("tokenizer/")}
        return self.version.meta.task_type, self.version.meta.max_tokens, tuple(sorted(files.items()))

    @property
    def _forward_tokens(self) -> int:
        return CPU_FORWARD_TOKENS if self.model.encoder.device.type == "cpu" else FORWARD_TOKENS

    def with_weights(self, weights: FastWeights, blend: float) -> ServedModel:
        """The same version with other fast weights; encoder and head are shared.

        Raises VersionCorrupt for weights that were not made on this encoder's features.
        """
        made = ServedModel(
            self.version, self.model, self.tokenizer, weights, blend, self.task, self.quick, self.recheck_odds
        )
        if weights.labels:
            width = weights.layers * self.model.encoder.hidden_size
            try:
                odds = weights.probabilities(np.full((1, width), width**-0.5, np.float32))
            except ValueError as error:
                raise VersionCorrupt(
                    f"version {self.version_id}: fast weights do not fit its encoder: {error}"
                ) from error
            _check(self.version_id, "fast probabilities", odds, (1, len(weights.labels)))
        return made

    def in_int8(self, recheck_odds: float) -> ServedModel:
        """The same, answering with an int8 copy first. Raises ConfigError off the CPU."""
        return ServedModel(
            self.version,
            self.model,
            self.tokenizer,
            self.weights,
            self.blend,
            self.task,
            int8_copy(self.model),
            recheck_odds,
        )

    def encode(self, inputs: Sequence[Input]) -> list[Example]:
        """Tokenise; may run in any thread."""
        return self.encode_rows([(value, None) for value in inputs])

    def encode_rows(self, rows: Sequence[tuple[Input, LabelValue | None]]) -> list[Example]:
        """Tokenise inputs with their labels: targets are places in ``labels``."""
        size = self.version.meta.max_tokens
        return [self.task.encode("", value, label, self.labels, self.tokenizer, size) for value, label in rows]

    def answer(self, inputs: Sequence[Input], top_k: int) -> list[Mapping[str, Any]]:
        """For each input the task's fields of a prediction, with ``version`` and ``labels_seen``."""
        return self.answer_encoded(self.encode(inputs), top_k)

    def answer_encoded(self, examples: Sequence[Example], top_k: int) -> list[Mapping[str, Any]]:
        """The same for what :meth:`encode` made."""
        stamp = {"version": self.version_id, "labels_seen": self.labels_seen}
        answers = self.answers(examples)
        if answers.shape[1] == 0:
            return [{**NO_LABELS, **stamp} for _ in examples]
        return [{**fields, **stamp} for fields in self.task.decode(answers, self.labels, top_k)]

    @torch.inference_mode()
    def answers(self, examples: Sequence[Example]) -> Floats:
        """Activated outputs [B, C] over ``labels`` ([B, 0] where there are none): one forward for both heads."""
        found = self._answers(self.quick or self.model, examples)
        if self.quick is not None and self.task.has_classes and found.shape[1] > 1:
            likeliest = np.partition(found, -2, axis=1)[:, -2:]
            close = np.flatnonzero(likeliest[:, 1] < self.recheck_odds * likeliest[:, 0]).tolist()
            if close:
                found[close] = self._answers(self.model, [examples[row] for row in close])
        return found

    def encoded(self, examples: Sequence[Example], layers: int | None = None) -> HeadOutputs:
        """All that an answer needs of the encoder, in fp32: good for :meth:`from_outputs` of any model of this version.

        ``layers``: of the features, for fast heads that are still to come; left out, those of the weights.
        """
        return self._encoded(self.model, examples, layers)

    def from_outputs(self, outputs: HeadOutputs) -> Floats:
        """Answers [B, C] over ``labels`` from what :meth:`encoded` gave, as :meth:`answers` makes them."""
        return outputs.answers(None if self.weights is None else Fast(self.weights, self.blend))[0]

    def unit_scores(self, rows: Sequence[tuple[Input, LabelValue]]) -> Floats:
        """[N, k] scores of labelled inputs, as the gate counts them; chosen among all ``labels``."""
        examples = self.encode_rows(rows)
        return self.task.unit_scores(self.answers(examples), [example.target for example in examples])

    def heads(self, inputs: Sequence[Input], layers: int) -> HeadOutputs:
        """What the encoder gives for inputs, for both heads. ``layers``: of the features; 0 for none."""
        return self._encoded(self.model, self.encode(inputs), layers)

    def features(self, inputs: Sequence[Input], layers: int | None = None) -> NDArray[np.float32]:
        """[B, layers * H] features that fast heads are folded on.

        ``layers``: the HeadState's; left out, those of the weights. Raises ValueError where neither says.
        """
        wanted = layers if layers is not None else self.weights.layers if self.weights is not None else 0
        if wanted < 1:
            raise ValueError("layers: not given, and there are no fast weights to tell; pass the HeadState's layers")
        return self.heads(inputs, wanted).features

    def warm(self) -> None:
        """Answer a probe. Raises VersionCorrupt where shapes are wrong or a number is not finite."""
        examples = self.encode(PROBES)
        if any(not example.token_ids for example in examples):
            raise VersionCorrupt(f"version {self.version_id}: its tokenizer makes nothing of a probe")
        width = self.model.encoder.hidden_size
        _check(self.version_id, "features", self.features(PROBES, layers=1), (len(PROBES), width))
        width = 1 if not self.task.has_classes and self.model.head is not None else len(self.labels)
        _check(self.version_id, "answers", self.answers(examples), (len(PROBES), width))

    def _answers(self, model: TunedModel, examples: Sequence[Example]) -> Floats:
        if not examples:
            return np.zeros((0, len(self.labels)))
        return self.from_outputs(self._encoded(model, examples, None))

    @torch.inference_mode()
    def _encoded(self, model: TunedModel, examples: Sequence[Example], layers: int | None) -> HeadOutputs:
        if layers is None:
            layers = self.weights.layers if self.weights is not None and self.weights.labels else 0
        parts = [self._forward(model, piece, layers) for piece in pieces(examples, self._forward_tokens)]
        return join(parts or [self._forward(model, (), layers)])

    def _forward(self, model: TunedModel, examples: Sequence[Example], layers: int) -> HeadOutputs:
        encoded = model.encoder(examples, layers=layers)
        tuned: Floats = np.zeros((len(examples), 0))
        if model.head is not None:
            logits = model.head(encoded.pooled)
            tuned = self.task.activate(Outputs(encoded.pooled, logits, encoded.lengths, encoded.hidden))
        none = np.zeros((len(examples), 0), np.float32)
        features = _numpy(encoded.features) if layers else none
        return HeadOutputs(tuned, tuple(model.labels), features, model.young)


def _numpy(features: torch.Tensor | None) -> NDArray[np.float32]:
    if features is None:
        raise ValueError("features: the encoder gave none; ask it for layers")
    return np.asarray(features.float().cpu().numpy(), np.float32)


def _check(version_id: str, what: str, found: Floats, shape: tuple[int, ...]) -> None:
    if found.shape != shape:
        raise VersionCorrupt(f"version {version_id}: {what} of a probe have shape {found.shape}, not {shape}")
    if not np.isfinite(found).all():
        raise VersionCorrupt(f"version {version_id}: {what} of a probe are not finite")
