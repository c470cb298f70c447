"""Sentences from recursive templates: ``{word}`` is one of the word's phrases, ``[a|b|]`` one of these.

Both may hold further words and choices. What there is to choose from lies in ``language/``, one file a domain.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

Words = Mapping[str, Sequence[str]]

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_WORD = re.compile(r"\{(\w+)\}")
_DEEPEST = 16
"""Levels of words in words; deeper is a word that holds itself."""


def expand(template: str, words: Words, rng: random.Random) -> str:
    """One sentence of ``template``, its spaces tidied.

    Raises ValueError for a word that is not in ``words``, or that holds itself.
    """
    text = template
    for _ in range(_DEEPEST):
        while _CHOICE.search(text):
            text = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text)
        if not _WORD.search(text):
            return re.sub(r" +([,.?!]|$)", r"\1", re.sub(r" {2,}", " ", text)).strip()
        text = _WORD.sub(lambda found: _phrase(found[1], words, rng), text)
    raise ValueError(f"template {template!r}: words in words, more than {_DEEPEST} deep: {text!r}")


def _phrase(word: str, words: Words, rng: random.Random) -> str:
    if word not in words:
        raise ValueError(f"word {{{word}}}: is not in the word lists; they have {', '.join(sorted(words))}")
    return rng.choice(words[word])
