"""Token ids, straight from tokenizer.json (the Rust tokenizers library, without transformers)."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from daemon.errors import VersionCorrupt
from daemon.events import Input

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

Ids = tuple[int, ...]
FILE = "tokenizer.json"


class Tokenizer:
    """Thread-safe. Truncation keeps the special tokens and takes from the longer text of a pair."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        self._inner = inner
        self._inner.no_padding()
        self._max_tokens = 0
        self._lock = threading.Lock()

    @classmethod
    def load(cls, directory: Path) -> Tokenizer:
        """Raises VersionCorrupt where tokenizer.json is missing or not readable."""
        try:
            return cls(tokenizers.Tokenizer.from_file(str(directory / FILE)))
        except Exception as error:  # the library raises bare Exception
            raise VersionCorrupt(f"{directory / FILE} is not a tokenizer: {error}") from error

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._inner.no_truncation()
            self._max_tokens = 0
            self._inner.save(str(directory / FILE))

    def encode(self, value: Input, max_tokens: int) -> tuple[Ids, Ids | None]:
        """Token ids, and type ids for a pair (else None)."""
        return self.encode_many([value], max_tokens)[0]

    def encode_many(self, values: Sequence[Input], max_tokens: int) -> list[tuple[Ids, Ids | None]]:
        texts = [_text(value) for value in values]
        with self._lock:
            if self._max_tokens != max_tokens:
                self._inner.enable_truncation(max_tokens)
                self._max_tokens = max_tokens
            encodings = self._inner.encode_batch(texts)
        return [
            (tuple(encoding.ids), tuple(encoding.type_ids) if value.text_pair is not None else None)
            for value, encoding in zip(values, encodings, strict=True)
        ]


def _text(value: Input) -> str | tuple[str, str]:
    text = value.text if value.text is not None else " ".join(value.tokens or ())
    return text if value.text_pair is None else (text, value.text_pair)
