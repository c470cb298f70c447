"""``retaind bench serving``: what an answer costs, against the transformers pipeline with the same weights.

Texts of mixed lengths in order of arrival, 32 at a time, text in and label out; one CPU thread. Ours goes through
the predictor that serves (its worker, its queue, the version's own tokenizer). The headline compares the same
computation, encoder and tuned head; further rows show what the fast head adds by default, and int8
(``predict.precision``).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from daemon.bench.model import TASK, padding_ratio, publish_version, tuned_only, with_fast_head
from daemon.bench.peers import load_pipeline, save_classifier
from daemon.bench.result import document, interleave, median
from daemon.bench.texts import texts
from daemon.config.models import Predict
from daemon.events import Input
from daemon.registry.store import FileRegistry
from daemon.serving.predictor import Predictor
from daemon.serving.served import ServedModel

BATCH = 32
COUNT, QUICK_COUNT = 1024, 256
PEER = "peer: transformers pipeline"
OURS = "ours, tuned head"
BOTH = "ours, tuned and fast head"
INT8 = "ours, tuned head, int8"

Label = Callable[[Sequence[str]], Sequence[str]]
"""A batch of texts -> their labels."""


def run(quick: bool) -> dict[str, Any]:
    """``headline``: texts per CPU second, ours ÷ the pipeline's."""
    return measure(QUICK_COUNT if quick else COUNT, rounds=3 if quick else 5)


def measure(count: int, *, rounds: int) -> dict[str, Any]:
    """The same with any number of texts and rounds."""
    torch.set_num_threads(1)
    asked = [text.text for text in texts(count)]
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        root = Path(directory)
        tuned = tuned_only(publish_version(FileRegistry(root / "registry"), root))
        both = with_fast_head(tuned, root / "heads")
        save_classifier(tuned, root / "peer")
        pipe = load_pipeline(root / "peer")
        predictors = [_predictor(tuned), _predictor(both), _predictor(tuned.in_int8(Predict().recheck_odds))]
        ways: dict[str, Label] = {
            OURS: _ours(predictors[0]),
            BOTH: _ours(predictors[1]),
            INT8: _ours(predictors[2]),
            PEER: lambda batch: [row["label"] for row in pipe(list(batch), batch_size=BATCH)],
        }
        labels = {name: _labels(way, asked) for name, way in ways.items()}  # warms, too
        seconds = interleave({name: partial(_seconds, way, asked) for name, way in ways.items()}, rounds)
        for predictor in predictors:
            predictor.close()
    speed = {name: count / median(taken) for name, taken in seconds.items()}
    rows = [
        {
            "what": name,
            "texts_per_cpu_second": round(speed[name], 1),
            "times_the_peer": round(speed[name] / speed[PEER], 2),
            "same_label_as_the_peer_ratio": round(_agreement(labels[name], labels[PEER]), 4),
        }
        for name in ways
    ]
    return document(
        round(speed[OURS] / speed[PEER], 2),
        "texts per CPU second, ours ÷ transformers pipeline",
        rows,
        packages=("torch", "transformers", "tokenizers"),
        agreement_ratio=rows[0]["same_label_as_the_peer_ratio"],
        padding_ratio=padding_ratio(tuned.encode([Input(text=text) for text in asked]), BATCH),
        precision="fp32",
        texts=count,
        batch=BATCH,
        rounds=rounds,
        threads=1,
    )


def _predictor(served: ServedModel) -> Predictor:
    predictor = Predictor(max_batch_tokens=4096, max_queue=1024)
    predictor.swap(TASK, served)
    return predictor


def _ours(predictor: Predictor) -> Label:
    def label(batch: Sequence[str]) -> Sequence[str]:
        future = predictor.submit(TASK, [Input(text=text) for text in batch])
        return [answer["label"] for answer in future.result()]

    return label


def _labels(way: Label, asked: Sequence[str]) -> list[str]:
    return [label for start in range(0, len(asked), BATCH) for label in way(asked[start : start + BATCH])]


def _seconds(way: Label, asked: Sequence[str]) -> float:
    """CPU seconds of this process, all threads, to label all that is asked."""
    began = time.process_time()
    _labels(way, asked)
    return time.process_time() - began


def _agreement(ours: Sequence[str], theirs: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(theirs)
