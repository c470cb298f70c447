"""A version that was judged and is not served yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from daemon.roles.fast import FastLearner
from daemon.update.job import UpdateJob
from daemon.update.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Candidate:
    """``fast``: its fast learner, which catches up with the buffer before it is served."""

    job: UpdateJob
    verdict: Verdict
    fast: FastLearner

    @property
    def version(self) -> str:
        return self.fast.version.id

    def details(self, *, promoted: bool, held: bool) -> Mapping[str, Any]:
        """What the history keeps of the verdict and what followed from it."""
        return {
            "job": self.job.id,
            "cursor": self.job.cursor,
            "decision": self.verdict.decision,
            "promote": self.verdict.promote,
            "promoted": promoted,
            "rows": self.verdict.rows,
            "champion": self.verdict.champion,
            "candidate": self.verdict.candidate,
            "held": held,
            "judged_against": self.job.parent,
            "checks": [asdict(check) for check in self.verdict.checks],
        }
