"""A candidate that seemed better and was not surely so: judged again on the labels that come (champion and challenger).

While a stream is young the rows that neither side has learnt from are few, and a gain of two points does not show on
them. So such a candidate waits beside the champion and learns what comes, as the champion does. Each label is foretold
by both before they learn it, and is one more row to judge by. It is promoted as soon as the gate is sure; it goes when
it no longer seems better, when enough labels have not told, when an event that it was made of is erased, and when
another version is served or the next update starts.

Guarantees:

1. It is judged by the same gate as before, with the labels since as further rows; and asked for
   ``gate.gain_confidence`` even where ``settled_confidence`` was enough before, since it is asked several times.
2. Nothing but memory holds it: the verdict that made it wait is recorded as a rejection, so a restart leaves it behind,
   and its promotion is one entry of the history.
3. What was erased while it waited is in nothing that it brings into service.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog

from daemon.roles.candidate import Candidate
from daemon.roles.fast import FastLearner
from daemon.roles.publish import announce_move
from daemon.roles.standing import standing
from daemon.roles.surroundings import Surroundings
from daemon.update.verdict import Verdict

log = structlog.get_logger(__name__)

FIRST_LOOK, LOOKS = 100, 4
"""Labels before the first look; each later one waits for twice as many in all."""


@dataclass(slots=True)
class Challenger:
    """``events``: ids of all that its job held; ``looks``: how often the gate was asked, ``cursor``: and up to which
    change its labels were counted."""

    candidate: Candidate
    fast: FastLearner
    events: AbstractSet[str]
    looks: int = 0
    cursor: int = 0

    @property
    def version(self) -> str:
        return self.candidate.version

    def look(self, champion: FastLearner) -> Verdict | None:
        """The gate's word, where labels enough have come since it was asked last."""
        if self.fast.cursor == self.cursor:
            return None
        self.cursor = self.fast.cursor
        since = champion.foretold.beside(self.fast.foretold)
        if len(since) < FIRST_LOOK << self.looks:
            return None
        self.looks += 1
        self.candidate.verdict = self.candidate.judge(since)
        return self.candidate.verdict


class Challenge:
    """Where at most one challenger of a task waits."""

    def __init__(self, task: str, around: Surroundings) -> None:
        self._task, self._around = task, around
        self.challenger: Challenger | None = None

    def wait(self, candidate: Candidate, fast: FastLearner, events: AbstractSet[str]) -> None:
        """From now on it does, unless one of the ``events`` that it was made of has gone since it was judged."""
        if not events & candidate.erased:
            self.challenger = Challenger(candidate, fast, events)
            log.info("challenger_waits", task=self._task, version=candidate.version, better=candidate.verdict.better)

    def erase(self, ids: AbstractSet[str]) -> None:
        if self.challenger is not None and self.challenger.events & ids:
            self.leave("an event that it was made of is erased")

    def leave(self, why: str) -> None:
        """Whoever waits goes."""
        if self.challenger is not None:
            log.info("challenger_left", task=self._task, version=self.challenger.version, why=why)
        self.challenger = None

    def step(self, champion: FastLearner, folding: bool, most: int) -> tuple[bool, FastLearner | None]:
        """Learn a slice of at most ``most`` changes of what came, or ask the gate again. Returns whether there was
        work, and who serves from now on, where that is the challenger. ``folding``: labels come all the time; then it
        learns whole slices only."""
        waiting = self.challenger
        if waiting is None:
            return False, None
        if champion.version.id != waiting.candidate.job.parent:
            self.leave("another version is served")
            return True, None
        behind = champion.cursor - waiting.fast.cursor
        if behind:
            return (behind >= most or not folding) and waiting.fast.fold(most) > 0, None
        verdict = waiting.look(champion)
        if verdict is None:
            return False, None
        told = {"version": waiting.version, "decision": verdict.decision, "reasons": verdict.reasons}
        log.info("verdict", task=self._task, **told)
        self._around.observer.count("gate_verdicts_total", task=self._task, verdict=verdict.decision)
        if verdict.promote and not standing(self._around.registry, self._task).held:
            return True, self._promote(waiting, champion)
        if not verdict.unsure or waiting.looks == LOOKS:
            self.leave("promotions are held" if verdict.promote else "it is not shown to be better")
        return True, None

    def _promote(self, waiting: Challenger, champion: FastLearner) -> FastLearner:
        """Move the alias to it, and tell."""
        champion.snapshot()
        waiting.candidate.promote(self._task, waiting.fast, self._around)
        announce_move(self._task, champion.version.id, waiting.version, self._around)
        self._around.observer.count("updates_total", task=self._task, outcome="promoted")
        self.challenger = None
        return waiting.fast
