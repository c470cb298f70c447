"""Business events with everything that makes a stream hard, seeded: the same seed gives the same events.

A :class:`Chapter` says what holds for a while; :class:`Simulator` makes its cases. A case knows what its label
should be and what the label says; what the daemon may see of it are events in the form of docs/reference/events.md.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.demo.language import Language, Vocabulary, domain_of, load_language

TASK = "desk"
WRONG = 0.02
"""The share of labels that are wrong, in every chapter."""
CLEAN_SOURCE, NOISY_SOURCE = "desk", "night-import"
_START = datetime(2026, 1, 5, 8, tzinfo=UTC)
_BETWEEN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Chapter:
    """What holds for ``events`` events.

    ``shares``: class -> how often it comes, relative to the others; ``shifted``: domains that use other words;
    ``routes``: class -> the label that it gets from now on instead of its own; ``late``: the share of labels
    that come alone, ``delay`` events after theirs; ``noisy``: the share of the events of ``noisy_domains`` from a
    source whose labels are all wrong, each class taken for the same other one of these; ``fresh``: the class that
    is new and watched.
    """

    name: str
    title: str
    events: int
    shares: Mapping[str, float]
    shifted: frozenset[str] = frozenset()
    routes: Mapping[str, str] = field(default_factory=dict)
    late: float = 0.0
    delay: int = 40
    noisy: float = 0.0
    noisy_domains: frozenset[str] = frozenset()
    fresh: str = ""

    def label(self, kind: str) -> str:
        """The right label of ``kind`` in this chapter."""
        return self.routes.get(kind, kind)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.label(kind) for kind in self.shares))


@dataclass(frozen=True, slots=True)
class Case:
    """One business event. ``kind``: what its text means; ``right``: its right label; ``given``: the label that the
    daemon is told; ``late``: after how many further events it is told, 0 with the event."""

    id: str
    time: datetime
    text: str
    kind: str
    right: str
    given: str
    source: str = CLEAN_SOURCE
    late: int = 0

    def request(self) -> dict[str, Any]:
        """The event without its label."""
        return {
            "id": self.id,
            "task": TASK,
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "text": self.text,
            "attributes": {"domain": domain_of(self.kind)},
        }

    def event(self) -> dict[str, Any]:
        """The event with its label."""
        return {**self.request(), "label": self.given, "source": self.source}

    def label_alone(self, label: str | None) -> dict[str, Any]:
        """A label for an event that has come already: a late one, a correction, or None to withdraw it."""
        return {"id": self.id, "task": TASK, "label": label, "source": self.source}


class Desk:
    """Hands labels out: at once, or ``late`` events after their event."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Case]] = []
        self._seen = 0

    def labels(self, case: Case) -> list[dict[str, Any]]:
        """The labelled events that are there once ``case`` has come: its own, then late labels that are due."""
        self._seen += 1
        due = [late for at, late in self._waiting if at <= self._seen]
        self._waiting = [(at, late) for at, late in self._waiting if at > self._seen]
        if case.late:
            self._waiting.append((self._seen + case.late, case))
        return [*([] if case.late else [case.event()]), *(late.label_alone(late.given) for late in due)]

    def rest(self) -> list[dict[str, Any]]:
        """All labels that are still out."""
        rest = [case.label_alone(case.given) for _, case in self._waiting]
        self._waiting = []
        return rest


class Simulator:
    def __init__(self, seed: int, language: Language | None = None) -> None:
        self._seed = seed
        self._language = language or load_language()

    def cases(self, chapter: Chapter) -> list[Case]:
        """The chapter's events in order."""
        rng = random.Random(f"{self._seed} cases {chapter.name}")
        kinds, weights = list(chapter.shares), list(chapter.shares.values())
        drawn = rng.choices(kinds, weights, k=chapter.events)
        return [self._case(chapter, kind, number, rng) for number, kind in enumerate(drawn)]

    def probes(self, chapter: Chapter, n: int) -> list[Case]:
        """``n`` further cases, balanced over the classes and with right labels, for measuring only."""
        rng = random.Random(f"{self._seed} probes {chapter.name}")
        kinds = list(chapter.shares)
        return [self._clean(chapter, kinds[i % len(kinds)], f"probe-{chapter.name}-{i}", i, rng) for i in range(n)]

    def fresh(self, chapter: Chapter, n: int) -> list[Case]:
        """``n`` further cases of the chapter's new class, with right labels."""
        rng = random.Random(f"{self._seed} fresh {chapter.name}")
        return [self._clean(chapter, chapter.fresh, f"fresh-{chapter.name}-{i}", i, rng) for i in range(n)]

    def _clean(self, chapter: Chapter, kind: str, name: str, number: int, rng: random.Random) -> Case:
        text = self._language.sentence(kind, _vocabulary(chapter, kind), rng)
        label = chapter.label(kind)
        return Case(name, _START + number * _BETWEEN, text, kind, label, label)

    def _case(self, chapter: Chapter, kind: str, number: int, rng: random.Random) -> Case:
        text = self._language.sentence(kind, _vocabulary(chapter, kind), rng)
        right = given = chapter.label(kind)
        others = [label for label in chapter.labels if label != right]
        source = CLEAN_SOURCE
        if domain_of(kind) in chapter.noisy_domains and rng.random() < chapter.noisy:
            given, source = _taken_for(chapter, kind), NOISY_SOURCE
        elif rng.random() < WRONG:
            given = rng.choice(others)
        late = chapter.delay if rng.random() < chapter.late else 0
        name = f"{chapter.name}-{number:04d}"
        return Case(name, _START + number * _BETWEEN, text, kind, right, given, source, late)


def stream(cases: Iterable[Case]) -> Iterator[dict[str, Any]]:
    """The cases as events in order: labelled ones, requests, and labels that come alone."""
    desk = Desk()
    for case in cases:
        if case.late:
            yield case.request()
        yield from desk.labels(case)
    yield from desk.rest()


def _vocabulary(chapter: Chapter, kind: str) -> Vocabulary:
    return "shifted" if domain_of(kind) in chapter.shifted else "usual"


def _taken_for(chapter: Chapter, kind: str) -> str:
    """The label that the noisy source takes ``kind`` for: always the same one."""
    labels = list(dict.fromkeys(chapter.label(k) for k in chapter.shares if domain_of(k) in chapter.noisy_domains))
    return labels[(labels.index(chapter.label(kind)) + 1) % len(labels)]
