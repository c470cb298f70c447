"""``retaind bench training``: what learning a text costs, against ``transformers.Trainer``.

The same short texts (mean 33 tokens), encoded beforehand, the same encoder, batch size, epochs, optimiser and learning
rate, one CPU thread; each training starts from the base. float32, but for a row on either side in mixed precision
(``training.precision: bf16``). Ours is the loop of a real update (:mod:`daemon.training.loop`); what an update does
besides is in bench update-cost. Dropout is part of the price: the Trainer takes it from the model's configuration
(0.1), our default is none. So both are measured with and without it, and the rows say against which.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from daemon.bench.model import CPU, LABELS, encode, padding_ratio
from daemon.bench.peers import classifier
from daemon.bench.result import document, interleave, median
from daemon.bench.texts import texts
from daemon.clock import SystemClock
from daemon.config.task import Model, Precision, Training
from daemon.config.tune import FullTune, HeadTune, LastLayersTune, LoraTune, Tune
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder, quiet
from daemon.models.tuned import TunedModel
from daemon.models.tuning import apply_tuning
from daemon.tasks import get_task
from daemon.training.context import LoopContext
from daemon.training.loop import Loop, steps_in
from daemon.training.progress import Progress
from strategies.base import Example, Strategy
from strategies.ewc import Ewc
from strategies.ewc_options import EwcOptions

COUNT, QUICK_COUNT = 512, 128
TRAINING = Training(epochs=1, batch_size=32, learning_rate=0.0002, head_learning_rate=0.0002)
LORA = LoraTune()
UPDATE_EPOCHS = Training().epochs
"""Of an update at the shipped defaults: what a strategy does once an update weighs against these."""


@dataclass(frozen=True, slots=True)
class Taught:
    """CPU seconds of a training, its mean loss, and how many weights moved."""

    cpu_s: float
    loss: float
    weights: int


Way = Callable[[Sequence[Example]], Taught]


def ours(
    tune: Tune,
    strategies: Callable[[], Sequence[Strategy]] = tuple,
    dropout_ratio: float = 0.0,
    epochs: int = TRAINING.epochs,
    precision: Precision = TRAINING.precision,
) -> Way:
    """The daemon's loop with ``tune``; ``strategies`` makes those that learn along."""
    training = TRAINING.model_copy(update={"epochs": epochs, "precision": precision})

    def teach(examples: Sequence[Example]) -> Taught:
        task = get_task("sequence")
        encoder = Encoder.load(resolve_base(Model()), CPU)
        model = TunedModel(encoder, task.build_head(encoder.hidden_size, LABELS, None, 0), LABELS, task)
        apply_tuning(encoder, tune, 0)
        model.set_dropout(dropout_ratio)
        assert model.head is not None
        model.head.requires_grad_(True)
        context = LoopContext(
            model,
            task,
            new=examples,
            pool=(),
            old_classes=0,
            seed=0,
            batch_size=training.batch_size,
            total_steps=steps_in(len(examples), training),
            parent=lambda: model,
        )
        with (
            tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory,
            Progress(Path(directory) / "progress.jsonl", SystemClock()) as progress,
        ):
            began = time.process_time()
            loop = Loop(context, strategies(), training, progress)
            trained = loop.run(())
            loop.consolidate()
            cpu_s = time.process_time() - began
        return Taught(cpu_s, trained.losses[-1], sum(weights.numel() for _, weights in model.trainable()))

    return teach


def trainer(adapt: Callable[[Any], Any] = lambda model: model, *, bf16: bool = False, **config: float) -> Way:
    """``transformers.Trainer`` on the same weights; ``adapt`` may wrap the model, ``bf16``: mixed precision, ``config``
    changes the base's."""

    def teach(examples: Sequence[Example]) -> Taught:
        from transformers import AutoTokenizer, DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments

        base = resolve_base(Model()).path
        torch.manual_seed(0)
        model = adapt(classifier(base, LABELS, **config))
        rows = [{"input_ids": list(row.token_ids), "labels": row.target} for row in examples]
        with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory, quiet():
            arguments = TrainingArguments(
                output_dir=directory,
                num_train_epochs=TRAINING.epochs,
                per_device_train_batch_size=TRAINING.batch_size,
                learning_rate=TRAINING.learning_rate,
                weight_decay=TRAINING.optimizer.weight_decay,
                warmup_steps=TRAINING.warmup_ratio,
                max_grad_norm=TRAINING.max_grad_norm,
                use_cpu=True,
                bf16=bf16,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
                dataloader_pin_memory=False,
            )
            collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(str(base), local_files_only=True))
            made = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
            made.remove_callback(PrinterCallback)
            began = time.process_time()
            done = made.train()
            cpu_s = time.process_time() - began
        moved = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
        return Taught(cpu_s, float(done.training_loss), moved)

    return teach


def with_lora(model: Any) -> Any:
    """PEFT's own LoRA of our default rank on every linear layer; the head moves too."""
    import peft

    with quiet():
        config = peft.LoraConfig(
            r=LORA.rank,
            lora_alpha=int(LORA.alpha),
            target_modules=["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"],
            modules_to_save=["classifier"],
        )
        return peft.get_peft_model(model, config)


@cache
def _learnt_before() -> Mapping[str, torch.Tensor]:
    """What EWC kept of an update before."""
    before = Ewc(EwcOptions())
    ours(FullTune(), lambda: [before])(encode(texts(64, seed=2), LABELS, get_task("sequence")))
    return dict(before.state_dict())


def ewc() -> Sequence[Strategy]:
    """EWC with the Fisher of an update before, as every update but a task's first has it."""
    strategy = Ewc(EwcOptions())
    strategy.load_state_dict(_learnt_before())
    return [strategy]


FULL, PEER, BARE_PEER = "ours, full", "peer: Trainer", "peer: Trainer without dropout"
UPDATE, UPDATE_EWC = f"ours, full, {UPDATE_EPOCHS} epochs", f"ours, full, {UPDATE_EPOCHS} epochs, ewc"
WAYS: Mapping[str, Way] = {
    FULL: ours(FullTune()),
    "ours, full, dropout 0.1": ours(FullTune(), dropout_ratio=0.1),
    "ours, full with word embeddings": ours(FullTune(embeddings=True)),
    UPDATE: ours(FullTune(), epochs=UPDATE_EPOCHS),
    UPDATE_EWC: ours(FullTune(), ewc, epochs=UPDATE_EPOCHS),
    "ours, lora": ours(LORA),
    "ours, last_layers": ours(LastLayersTune()),
    "ours, head": ours(HeadTune()),
    "ours, full, bf16": ours(FullTune(), precision="bf16"),
    PEER: trainer(),
    BARE_PEER: trainer(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
    "peer: Trainer, PEFT LoRA": trainer(with_lora),
    "peer: Trainer, bf16": trainer(bf16=True),
}
"""What is measured, a row each."""
EPOCHS = {UPDATE: UPDATE_EPOCHS, UPDATE_EWC: UPDATE_EPOCHS}


def run(quick: bool) -> dict[str, Any]:
    """``headline``: texts per CPU second, tune full ÷ Trainer."""
    return measure(QUICK_COUNT if quick else COUNT, rounds=2 if quick else 3)


def measure(count: int, *, rounds: int) -> dict[str, Any]:
    """The same with any number of texts and rounds."""
    torch.set_num_threads(1)
    examples = encode(texts(count), LABELS, get_task("sequence"))
    taught: dict[str, Taught] = {}

    def once(name: str) -> float:
        taught[name] = WAYS[name](examples)
        return taught[name].cpu_s

    for way in WAYS.values():
        way(examples[:8])  # warm
    seconds = interleave({name: partial(once, name) for name in WAYS}, rounds)
    speed = {name: count * EPOCHS.get(name, TRAINING.epochs) / median(taken) for name, taken in seconds.items()}
    rows = [
        {
            "what": name,
            "texts_per_cpu_second": round(speed[name], 1),
            "times_trainer": round(speed[name] / speed[PEER], 2),
            "times_trainer_without_dropout": round(speed[name] / speed[BARE_PEER], 2),
            "weights_that_move": taught[name].weights,
            "mean_loss": round(taught[name].loss, 4),
        }
        for name in WAYS
    ]
    return document(
        round(speed[FULL] / speed[PEER], 2),
        "texts per CPU second, ours (tune full) ÷ transformers.Trainer",
        rows,
        packages=("torch", "transformers", "peft", "accelerate"),
        texts=count,
        mean_tokens=round(sum(len(row.token_ids) for row in examples) / count, 1),
        ewc_adds_ratio=round(speed[UPDATE] / speed[UPDATE_EWC] - 1, 3),
        padding_ratio_in_order=padding_ratio(examples, TRAINING.batch_size),
        epochs=TRAINING.epochs,
        batch=TRAINING.batch_size,
        rounds=rounds,
        threads=1,
    )
