"""Few labels: how good a head is from class names alone and from 1, 3, 5 and 10 texts a class, encoder frozen.

The fast head is the configured one, folded as the learner folds; a class's words (its description, or its name read as
a text) are its first example where that is said. The peer is the usual probe: a linear head on the mean-pooled last
layer, trained with AdamW, its learning rate chosen on the validation rows. The texts of a class are drawn by the seed,
the same for all heads.

Whether texts without a label would help is told too: the fast head takes in other train rows' texts as its own answers
say, where it is sure of them (self-training, Scudder 1965). The daemon does not do that; see
docs/explanation/two-speeds.md.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daemon.bench.learning.classifier import CPU, FORWARD_TOKENS
from daemon.bench.learning.history import History, Row
from daemon.bench.learning.plan import Trial
from daemon.config.task import Labels, Model, TaskConfig
from daemon.events import Input
from daemon.heads import get_head
from daemon.heads.naming import name_standing
from daemon.heads.ports import HeadState
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tokens import Tokenizer
from daemon.serving.batching import pieces
from daemon.tasks.schema import SequenceSchema, input_key
from strategies.base import Example

SHOTS = (1, 3, 5, 10)
UNLABELLED, SURE = 2000, 0.8
"""Texts without a label that are there, and the probability from which an answer stands for a label."""
PROBE_RATES, PROBE_STEPS = (0.003, 0.01, 0.03), 200

Array = NDArray[np.float32]


def run(trial: Trial, history: History) -> dict[str, Any]:
    """``rows``: head, shots, whether names were examples too, accuracy on the scored rows."""
    features = Features(Model.model_validate(trial.task.get("model", {})), _head_options(trial))
    held, validation = history.scored("holdout"), history.scored("validation")
    rows: list[dict[str, Any]] = []
    for shots in (0, *SHOTS):
        shown = draw(history.train, shots, trial.seed)
        for named in (False, True):
            if shots or named:
                state = folded(features, trial, shown, history.labels if named else ())
                found = accuracy(features, state, held)
                rows.append({"head": "fast", "shots": shots, "names": named, "accuracy": found})
        teach_itself(features, state, unlabelled(history.train, shown, trial.seed))
        rows.append({"head": "self-taught", "shots": shots, "names": True, "accuracy": accuracy(features, state, held)})
        if shots:
            found = probe(features, history.labels, shown, validation, held, trial.seed)
            rows.append({"head": "linear", "shots": shots, "names": False, "accuracy": found})
    return {"rows": rows}


class Features:
    """What the base encoder gives for texts, each encoded once: pooled [H], and the fast head's [layers * H]."""

    def __init__(self, model: Model, head: Mapping[str, Any]) -> None:
        base = resolve_base(model)
        self._encoder, self._tokenizer = Encoder.load(base, CPU).requires_grad_(False), Tokenizer.load(base.path)
        self._size, self.layers = model.max_tokens, int(head["layers"])
        self._known: dict[Input, tuple[Array, Array]] = {}

    def fast(self, inputs: Sequence[Input]) -> Array:
        self._encode(inputs)
        return np.stack([self._known[value][1] for value in inputs])

    def pooled(self, inputs: Sequence[Input]) -> Tensor:
        self._encode(inputs)
        return torch.from_numpy(np.stack([self._known[value][0] for value in inputs]))

    @torch.inference_mode()
    def _encode(self, inputs: Sequence[Input]) -> None:
        new = [value for value in dict.fromkeys(inputs) if value not in self._known]
        tokens = self._tokenizer.encode_many(new, self._size) if new else []
        examples = [Example("", ids, 0, token_type_ids=types) for ids, types in tokens]
        for piece in pieces(examples, FORWARD_TOKENS):
            encoded = self._encoder(piece, layers=self.layers)
            here, new = new[: len(piece)], new[len(piece) :]
            assert encoded.features is not None
            pairs = zip(encoded.pooled.numpy(), encoded.features.numpy(), strict=True)
            self._known.update(zip(here, pairs, strict=True))


def draw(rows: Sequence[Row], shots: int, seed: int) -> list[Row]:
    """At most so many rows of each class; more shots hold the fewer."""
    shuffled = list(rows)
    random.Random(seed).shuffle(shuffled)
    taken: dict[str, list[Row]] = {}
    for row in shuffled:
        taken.setdefault(row.label, []).append(row)
    return [row for each in taken.values() for row in each[:shots]]


def unlabelled(rows: Sequence[Row], shown: Sequence[Row], seed: int) -> list[Row]:
    """At most ``UNLABELLED`` of the others."""
    taken = set(shown)
    others = [row for row in rows if row not in taken]
    return random.Random(seed).sample(others, min(UNLABELLED, len(others)))


def folded(features: Features, trial: Trial, shown: Sequence[Row], names: Sequence[str]) -> HeadState:
    """The configured fast head after these rows; ``names``: classes whose words are their first examples."""
    options, schema = _head_options(trial), SequenceSchema()
    kind = get_head(options["kind"])
    assert kind is not None
    state = kind.new(options)
    if names:
        said = Labels.model_validate(trial.task.get("labels", {}))
        name_standing(state, said.model_copy(update={"known": list(names)}), features.fast)
    vectors = features.fast([row.input for row in shown]) if shown else ()
    for at, (row, vector) in enumerate(zip(shown, vectors, strict=True)):
        state.add(input_key(schema, row.input), str(at), row.label, vector)
    return state


def teach_itself(features: Features, state: HeadState, others: Sequence[Row]) -> None:
    """Add the texts of ``others`` that ``state`` answers surely, under its answers."""
    if not others:
        return
    weights, vectors = state.weights(), features.fast([row.input for row in others])
    answers = weights.probabilities(vectors)
    for row, vector, answer in zip(others, vectors, answers, strict=True):
        if answer.max() >= SURE:
            key = input_key(SequenceSchema(), row.input)
            state.add(key, f"unlabelled {row.at}", weights.labels[answer.argmax()], vector)


def accuracy(features: Features, state: HeadState, held: Sequence[Row]) -> float:
    weights = state.weights()
    answers = weights.probabilities(features.fast([row.input for row in held])).argmax(1)
    return float(np.mean([weights.labels[answer] == row.label for answer, row in zip(answers, held, strict=True)]))


def probe(
    features: Features,
    labels: Sequence[str],
    shown: Sequence[Row],
    validation: Sequence[Row],
    held: Sequence[Row],
    seed: int,
) -> float:
    """Accuracy of a linear head, at the learning rate that is best on the validation rows."""
    made = [_linear(features, labels, shown, rate, seed) for rate in PROBE_RATES]
    best = max(made, key=lambda head: _right(features, labels, head, validation)) if validation else made[1]
    return _right(features, labels, best, held)


def _linear(features: Features, labels: Sequence[str], shown: Sequence[Row], rate: float, seed: int) -> nn.Linear:
    torch.manual_seed(seed)
    inputs = features.pooled([row.input for row in shown])
    targets = torch.tensor([labels.index(row.label) for row in shown])
    head = nn.Linear(inputs.shape[1], len(labels))
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate)
    for _ in range(PROBE_STEPS):
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return head


@torch.inference_mode()
def _right(features: Features, labels: Sequence[str], head: nn.Linear, rows: Sequence[Row]) -> float:
    answers = head(features.pooled([row.input for row in rows])).argmax(1).tolist()
    return float(np.mean([labels[answer] == row.label for answer, row in zip(answers, rows, strict=True)]))


def _head_options(trial: Trial) -> Mapping[str, Any]:
    """Of the configured fast head; of the default one where the task has none."""
    head = TaskConfig.model_validate(trial.task).head
    return (head if head.kind != "none" else TaskConfig().head).model_dump(mode="json")
