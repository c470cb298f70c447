"""What a scene can do: play events through the daemon, wait for an update, measure, claim."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from daemon.demo.host import Host
from daemon.demo.prequential import Prequential
from daemon.demo.report import Expectation, Report
from daemon.demo.simulator import TASK, Case, Chapter, Desk, Simulator
from daemon.demo.teller import Teller
from daemon.demo.updates import Outcome, Updates

AT_ONCE = 10
"""Events predicted before the labels of the first of them are told."""
PACE_S = 0.4
"""Between such handfuls while an update trains: answering goes on, and there are events left for afterwards."""
PROBES = 48
TRIGGER_S, LOOK_S = 4.0, 0.1
"""How long the trigger may take before an update is asked for; how often to look."""


class Stage:
    def __init__(self, host: Host, simulator: Simulator, teller: Teller, report: Report) -> None:
        self.host, self.simulator, self.teller, self.report = host, simulator, teller, report
        self.updates = Updates(host.state / "jobs")
        self.prequential = Prequential()
        self.told: list[Case] = []
        """Every case whose event was sent, in order."""
        self.chapter: Chapter | None = None
        self._desk = Desk()

    # -- playing --------------------------------------------------------------------------------

    def play(self, cases: Sequence[Case], at_once: int = AT_ONCE) -> None:
        """Each event first as a request, answered and counted, then its label (test, then train): the next handful is
        asked once the labels of this one are in the answers."""
        for start in range(0, len(cases), at_once):
            part = cases[start : start + at_once]
            answers = self.host.answers(part, remember=True)
            self.prequential.add(answer["label"] == case.right for case, answer in zip(part, answers, strict=True))
            self._seen(answer["version"] for answer in answers)
            self.host.send([record for case in part for record in self._desk.labels(case)])
            self.told += part
            if self.look():
                time.sleep(PACE_S)
            self.settle()

    def late_labels(self) -> None:
        """The labels that are still out come in."""
        self.host.send(self._desk.rest())

    def play_through_update(self, cases: Sequence[Case], after: int) -> Sequence[Outcome]:
        """Play all but the last ``after``, wait for the update that they set off, then play the rest."""
        before = len(self.updates.outcomes)
        self.play(cases[: len(cases) - after])
        ended = self.until_updated(before)
        self.play(cases[len(cases) - after :])
        return ended

    def until_updated(self, before: int) -> Sequence[Outcome]:
        """Until more than ``before`` updates have ended and none runs; the answers come from its outcome then."""
        patience = time.monotonic() + TRIGGER_S
        while not self.look() and len(self.updates.outcomes) == before and time.monotonic() < patience:
            time.sleep(LOOK_S)
        if not self.look() and len(self.updates.outcomes) == before:
            self.teller.say("too few new events for the trigger: an update is asked for (retaind train-now)")
            self.host.call(f"/v1/tasks/{TASK}/train", {"why": "demo"})
        self.host.wait(
            lambda: not self.look() and len(self.updates.outcomes) > before, "an update and its verdict", LOOK_S
        )
        ended = self.updates.outcomes[before:]
        promoted = [outcome.version for outcome in ended if outcome.promoted]
        if promoted:
            self.host.wait(lambda: self.version() == promoted[-1], f"answers by version {promoted[-1]}")
        return ended

    def look(self) -> bool:
        """Show where it stands, tell of updates that ended; whether one runs."""
        running = self.updates.running()
        self.teller.standing(self.prequential, self.report.moves[-1] if self.report.moves else "-", running)
        for outcome in self.updates.ended():
            self._tell(outcome)
        return running is not None

    def settle(self) -> float:
        """Until everything that was sent is in the answers; the seconds that it took."""
        return self.host.wait(self.host.settled, "what was sent to be in the answers")

    # -- measuring ------------------------------------------------------------------------------

    def version(self) -> str:
        """The version that answers now."""
        found = str(self.host.answer("is anybody there")["version"])
        self._seen([found])
        return found

    def accuracy(self, cases: Sequence[Case], label: Callable[[Case], str] = lambda case: case.right) -> float:
        """The share of ``cases`` answered with their label; nothing is learnt from them."""
        answers = self.host.answers(cases)
        self._seen(answer["version"] for answer in answers)
        return sum(bool(a["label"] == label(c)) for c, a in zip(cases, answers, strict=True)) / len(cases)

    def unseen(self, chapter: Chapter) -> float:
        """Accuracy on ``PROBES`` texts of ``chapter`` that never went into the stream, by the labels of now."""
        now = self.chapter or chapter
        return self.accuracy(self.simulator.probes(chapter, PROBES), lambda case: now.label(case.kind))

    def expect(self, what: str, met: bool, expected: str, found: str) -> None:
        """Claim ``what``; a claim that fails is told at once and fails the demo at its end."""
        self.report.expectations.append(Expectation(what, met, expected, found))
        self.teller.say(f"{what}: {found}" if met else f"{what}: expected {expected}, found {found}", good=met)

    def _seen(self, versions: Iterator[str] | Sequence[str]) -> None:
        for version in versions:
            if not self.report.moves or self.report.moves[-1] != version:
                self.report.moves.append(version)

    def _tell(self, outcome: Outcome) -> None:
        if outcome.version is None:
            self.teller.say(f"update {outcome.job} was given up: {outcome.reasons[0]}", good=False)
            return
        what = "PROMOTED" if outcome.promoted else "REJECTED"
        self.teller.say(
            f"gate: candidate {outcome.version} {what} ({outcome.decision}); held-out events: "
            f"served {outcome.champion:.1%}, candidate {outcome.candidate:.1%}"
        )
        for reason in outcome.failed:
            self.teller.say(f"      because {reason}")
