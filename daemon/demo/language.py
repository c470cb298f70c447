"""The language of the simulated desks: per class templates in two vocabularies, and the way people write.

``usual`` and ``shifted`` say the same things in other words: a vocabulary shift is the step from one to the other.
Around a sentence stand openings, closings and fillers; a few have a typo, or no capitals and no punctuation.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from daemon.demo.grammar import Words, expand

Vocabulary = Literal["usual", "shifted"]

DOMAINS = ("service", "people", "finance", "marketing", "operations")
"""A file each in ``language/``; a class is named DOMAIN_SUBJECT."""
BARE_DOMAINS = frozenset({"finance"})
"""Sentences of reports have neither greeting nor typo."""

OPENING, CLOSING, FILLER, TYPO, CARELESS = 0.45, 0.4, 0.25, 0.12, 0.15
"""The share of sentences with each."""


@dataclass(frozen=True, slots=True)
class Language:
    """Everything of ``language/``. ``templates``: class -> vocabulary -> templates; ``words``: domain -> words."""

    templates: Mapping[str, Mapping[str, Sequence[str]]]
    words: Mapping[str, Words]
    openings: Sequence[str]
    closings: Sequence[str]
    fillers: Sequence[str]

    def classes(self, *domains: str) -> tuple[str, ...]:
        """The classes of ``domains`` in the order of their files; of all without one."""
        return tuple(name for name in self.templates if not domains or domain_of(name) in domains)

    def sentence(self, kind: str, vocabulary: Vocabulary, rng: random.Random) -> str:
        """What someone writes who means ``kind``."""
        domain = domain_of(kind)
        words = self.words[domain]
        text = expand(rng.choice(self.templates[kind][vocabulary]), words, rng)
        if domain in BARE_DOMAINS:
            return text[0].upper() + text[1:] + "."
        if rng.random() < FILLER:
            text = _filled(text, rng.choice(self.fillers), rng)
        if rng.random() < OPENING:
            text = f"{expand(rng.choice(self.openings), words, rng)} {text}"
        if rng.random() < CLOSING:
            stop = "" if text[-1] in ".?!" else "."
            text = f"{text}{stop} {expand(rng.choice(self.closings), words, rng)}"
        if rng.random() < TYPO:
            text = _mistyped(text, rng)
        if rng.random() < CARELESS:
            return re.sub(r"[.,?!]", "", text).lower()
        return text[0].upper() + text[1:]


def domain_of(kind: str) -> str:
    """``service`` of ``service_refund``."""
    return kind.partition("_")[0]


@cache
def load_language() -> Language:
    """Read ``language/``."""
    common = _read("common")
    parts = {domain: _read(domain) for domain in DOMAINS}
    return Language(
        templates={kind: texts for part in parts.values() for kind, texts in part["classes"].items()},
        words={domain: {**common["words"], **part["words"]} for domain, part in parts.items()},
        openings=common["openings"],
        closings=common["closings"],
        fillers=common["fillers"],
    )


def _read(name: str) -> dict[str, Any]:
    text = files("daemon.demo").joinpath("language", f"{name}.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def _filled(text: str, filler: str, rng: random.Random) -> str:
    """``filler`` between two words."""
    words = text.split(" ")
    place = rng.randrange(1, len(words)) if len(words) > 1 else 1
    return " ".join([*words[:place], filler, *words[place:]])


def _mistyped(text: str, rng: random.Random) -> str:
    """One letter of a longer word dropped, doubled, or swapped with the next."""
    places = [match.start() for match in re.finditer(r"(?<=[a-z])[a-z](?=[a-z]{2})", text)]
    if not places:
        return text
    at = rng.choice(places)
    made = rng.choice(("", text[at] * 2, text[at + 1] + text[at]))
    return text[:at] + made + text[at + (2 if len(made) == 2 and made[0] != made[1] else 1) :]
