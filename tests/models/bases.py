"""Bases for tests: the real MiniLM, and tiny ones with random weights."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import torch

from daemon.config.task import Model
from daemon.events import Input
from daemon.models.base import BaseFiles, resolve_base
from daemon.models.encoder import quiet
from daemon.models.tokens import Tokenizer
from strategies.base import Example

TEXTS = (
    "my card was swallowed by the machine abroad",
    "fee?",
    "why was I charged a fee for a payment that I never made, and who at the bank decided that it should be so",
    "raise my limit",
    "the card is lost, please send another one to my new address as soon as you can",
    "late fee",
    "refund",
)
VOCABULARY = 30522


def minilm() -> BaseFiles:
    return resolve_base(Model())


def examples(texts: tuple[str, ...] = TEXTS) -> list[Example]:
    encoded = base_tokenizer().encode_many([Input(text=text) for text in texts], 128)
    return [Example(str(i), ids, i % 3, token_type_ids=types) for i, (ids, types) in enumerate(encoded)]


def tiny(directory: Path, config: str = "BertConfig", **changes: Any) -> BaseFiles:
    """A random transformer of that configuration class, two layers of width 32."""
    import transformers

    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        made = getattr(transformers, config)(**{**sizes, **changes})
        transformers.AutoModel.from_config(made).save_pretrained(directory)  # type: ignore[no-untyped-call]
    shutil.copy(minilm().path / "tokenizer.json", directory)
    return resolve_base(Model(base=str(directory)))


@cache
def base_tokenizer() -> Tokenizer:
    return Tokenizer.load(minilm().path)
