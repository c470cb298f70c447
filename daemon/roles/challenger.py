"""A candidate that seemed better and was not surely so: judged again on the labels that come (champion and challenger).

While a stream is young the rows that neither side has learnt from are few, and a gain of two points does not show on
them. So such a candidate waits beside the champion and learns what comes, as the champion does. Each label is foretold
by both before they learn it, and is one more row to judge by. It is promoted as soon as the gate is sure; it goes when
it no longer seems better, when enough labels have not told, and when champion or update change under it.

Guarantees:

1. It is judged by the same gate as before, with the labels since as further rows; and asked for
   ``gate.gain_confidence`` even where ``settled_confidence`` was enough before, since it is asked several times.
2. Nothing but memory holds it: the verdict that made it wait is recorded as a rejection, so a restart leaves it behind,
   and its promotion is one entry of the history.
"""

from __future__ import annotations

from dataclasses import dataclass

from daemon.roles.candidate import Candidate
from daemon.roles.fast import FastLearner
from daemon.roles.publish import announce_move
from daemon.roles.surroundings import Surroundings
from daemon.update.verdict import Verdict

FIRST_LOOK, LOOKS = 100, 4
"""Labels before the first look; each later one waits for twice as many in all."""


@dataclass(slots=True)
class Challenger:
    """``looks``: how often the gate was asked."""

    candidate: Candidate
    fast: FastLearner
    looks: int = 0

    @property
    def version(self) -> str:
        return self.candidate.version

    def look(self, champion: FastLearner) -> Verdict | None:
        """The gate's word, where labels enough have come since it was asked last."""
        since = champion.foretold.beside(self.fast.foretold)
        if len(since) < FIRST_LOOK << self.looks:
            return None
        self.looks += 1
        self.candidate.verdict = self.candidate.judge(since)
        return self.candidate.verdict

    def waits(self, verdict: Verdict) -> bool:
        """Whether there is hope yet."""
        return verdict.unsure and self.looks < LOOKS

    def promote(self, task: str, around: Surroundings) -> None:
        """Move the alias to it, and tell."""
        self.candidate.promote(task, self.fast, around)
        announce_move(task, self.candidate.job.parent, self.version, around)
        around.observer.count("updates_total", task=task, outcome="promoted")
