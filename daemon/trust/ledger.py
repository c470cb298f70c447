"""What the learner knows of a task's sources, and which labels it holds back: one file, one writer.

A label is *held back* (a suspect) where its source is distrusted and the model contradicts it so clearly that, of the
two explanations, a guess is the likelier by ``trust.suspect_ratio``. It stays stored; it is neither folded, trained,
validated nor held out, until it is *released* by a person, *confirmed* by another source (the same normalised input
under the same label), given anew, or gone.

Guarantees:

1. A label of a young class is never held back, nor one that the model has no answer for.
2. A label is judged once, when it is first folded; that of a class which was young then, once more when it has
   grown. While a source's trust falls, what it said before is held back too.
3. Each change is judged once: those up to ``cursor`` have been, whoever folds them again.
4. Memory is bounded: every table has its largest size. Where no more suspects fit, further labels count. Whatever
   is let in at once is remembered until HeadStates have it.
5. The file is replaced atomically. One that lags behind a HeadState judges less, one that is ahead nothing twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import structlog

from daemon.config.task import Trust
from daemon.durable import write_atomically
from daemon.errors import StoreCorrupt
from daemon.trust.belief import CONTRADICTED, SURE, Floats
from daemon.trust.entries import Entries, Given
from daemon.trust.errors import GROWN, Errors
from daemon.trust.finding import Finding
from daemon.trust.inputs import Inputs, Twin
from daemon.trust.sources import Sources, Trusted

log = structlog.get_logger(__name__)

FORMAT = 1
UNNAMED = "(none)"
"""How the source of labels that name none is shown."""
NOTHING: Mapping[str, Any] = {"suspects": 0, "contradictions": 0, "error": None, "grown_error": None, "sources": {}}
"""The summary before the first label."""
WAITING = 4096
"""Young labels, and contradicted ones of sources that are trusted so far, that may be looked at once more."""


class Ledger:
    """Of one task. ``revision`` grows when an event was moved out of a HeadState, or may be put in again."""

    def __init__(self, path: Path, config: Trust) -> None:
        self.path = path
        self.config = config
        self.cursor = 0
        """The last change that was judged or passed."""
        self.block = 0
        """The last block of changes at whose begin sources were looked through."""
        self.revision = 0
        self.sources = Sources(config.floor_ratio)
        self.inputs = Inputs()
        self.errors, self.grown_errors = Errors(), Errors()
        """On labels of all classes but the young ones; on those of grown classes."""
        self.suspects = Entries(config.max_suspects)
        self.cleared = Entries(max(WAITING, config.max_suspects))
        """Released and confirmed labels: HeadStates that lack them take them in."""
        self.young = Entries(WAITING)
        self._contradicted = Entries(WAITING)
        self._releases = 0
        self._saved: tuple[int, int, int] | None = None

    @classmethod
    def open(cls, path: Path, config: Trust) -> Ledger:
        """The one that is there, or a new one. Raises StoreCorrupt."""
        made = cls(path, config)
        if path.exists():
            try:
                made._load(orjson.loads(path.read_bytes()))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise StoreCorrupt(
                    f"{path}: not a ledger of labels ({error!r}); delete it, trust is then learnt anew and every "
                    "label that was held back counts"
                ) from error
        if not config.quarantine:
            for row in made.suspects:
                made._clear(row)
        return made

    # -- a change ---------------------------------------------------------------------------------

    def holds(self, event_id: str) -> bool:
        return event_id in self.suspects

    def forget(self, event_id: str, key: str, *, erased: bool = False) -> None:
        """The event's label is another now, or none."""
        for table in (self.suspects, self.cleared, self.young, self._contradicted):
            table.pop(event_id)
        self.inputs.forget(key, event_id)
        if erased:
            self.inputs.erase(event_id)

    def judge(self, given: Given, finding: Finding | None) -> bool:
        """A label that was not judged before; whether it is held back. ``finding``: the model's word, if any."""
        twin = self.inputs.twin(given.key, given.id)
        held = False if self._confirmed(given, twin) else self._weigh(given, finding, twin)
        self.inputs.put(given.key, Twin(given.id, given.label, given.source), stands=not held)
        return held

    def _confirmed(self, given: Given, twin: Twin | None) -> bool:
        """Another source said the same of this input: a label, or one that is held back."""
        rows = self.suspects.of_input(given.key)
        same = [row for row in rows if row.label == given.label and row.source != given.source]
        for row in same:
            self._clear(row)
            self.sources.compare(given.source, row.source, agree=True)
        agreed = twin is not None and twin.source != given.source and twin.label == given.label
        if agreed and twin is not None:
            self.sources.compare(given.source, twin.source, agree=True)
        return agreed or bool(same)

    def _weigh(self, given: Given, finding: Finding | None, twin: Twin | None) -> bool:
        if finding is None:
            self.young.put(given)
            return False
        self.errors.see(finding.answer != given.label)
        if finding.examples >= GROWN:
            self.grown_errors.see(finding.answer != given.label)
        self.sources.see(given.source, finding.place, finding.chance)
        if twin is not None and twin.source != given.source:
            self.sources.compare(given.source, twin.source, agree=False)
            if self.sources.wrong(twin.source) is None:
                finding = replace(finding, place=SURE, answer=twin.label)
        return self._hold_or_note(_with(given, finding))

    def _hold_or_note(self, given: Given) -> bool:
        if given.place < CONTRADICTED:
            return False
        if not self._suspicious(given, self.sources.wrong(given.source)):
            self._contradicted.put(given)
            return False
        if self.suspects.full:
            log.warning("suspects_full", event_id=given.id, source=given.source, max_suspects=self.config.max_suspects)
            return False
        self.suspects.put(given)
        return True

    def _suspicious(self, given: Given, wrong: Floats | None) -> bool:
        """``wrong``: :meth:`Sources.wrong` of its source."""
        return self.config.quarantine and wrong is not None and float(wrong[given.place]) > self.config.suspect_ratio

    # -- looking again ----------------------------------------------------------------------------

    def accuse(self) -> int:
        """Hold back what sources said before they were distrusted; returns how many labels."""
        if not self.config.quarantine or self.suspects.full:
            return 0
        wrong = {source: self.sources.wrong(source) for source in {row.source for row in self._contradicted}}
        found = 0
        for row in self._contradicted:
            if self._suspicious(row, wrong[row.source]) and not self.suspects.full:
                self._contradicted.pop(row.id)
                self.suspects.put(row)
                self._move_out(row)
                found += 1
        return found

    def grown(self, given: Given, finding: Finding) -> None:
        """The model's word on a label whose class was young when it came."""
        self.young.pop(given.id)
        self.sources.see(given.source, finding.place, finding.chance)
        if self._hold_or_note(_with(given, finding)):
            self._move_out(given)

    def _move_out(self, given: Given) -> None:
        """A label that stood is held back now: HeadStates have to give it up."""
        self.inputs.forget(given.key, given.id)
        self.revision += 1

    # -- letting in again -------------------------------------------------------------------------

    def obey(self, releases: Sequence[Collection[str]]) -> int:
        """``releases``: the ids of every release that was ever asked for, oldest first; those that are new are
        carried out. Returns how many labels were let in."""
        found = 0
        for ids in releases[self._releases :]:
            for event_id in ids:
                row = self.suspects.pop(event_id)
                if row is not None:
                    self.sources.pardon(row.source, row.place)
                    self._clear(row)
                    found += 1
        self._releases = max(self._releases, len(releases))
        return found

    def _clear(self, given: Given) -> None:
        self.suspects.pop(given.id)
        self.cleared.put(given)
        self.revision += 1

    # -- the file ---------------------------------------------------------------------------------

    def summary(self) -> Mapping[str, Any]:
        """What people see: trust per source, and counts."""
        return {
            "suspects": len(self.suspects),
            "contradictions": self.inputs.contradictions,
            "error": _rounded(self.errors.ratio),
            "grown_error": _rounded(self.grown_errors.ratio),
            "sources": {row.source or UNNAMED: _told(row) for row in self.sources.standing()},
        }

    def save(self) -> None:
        """Write it where anything changed. Raises OSError."""
        mark = (self.cursor, self.revision, self._releases)
        if mark == self._saved:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, orjson.dumps(self._dump()))
        self._saved = mark

    @property
    def _tables(self) -> Mapping[str, Entries]:
        return {
            "suspects": self.suspects,
            "cleared": self.cleared,
            "young": self.young,
            "contradicted": self._contradicted,
        }

    def _dump(self) -> Mapping[str, Any]:
        return {
            "format": FORMAT,
            "cursor": self.cursor,
            "block": self.block,
            "revision": self.revision,
            "releases": self._releases,
            "summary": self.summary(),
            "sources": self.sources.dump(),
            "inputs": self.inputs.dump(),
            "errors": self.errors.dump(),
            "grown_errors": self.grown_errors.dump(),
            **{name: table.dump() for name, table in self._tables.items()},
        }

    def _load(self, content: Mapping[str, Any]) -> None:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, this retaind knows {FORMAT}")
        self.cursor, self.block = int(content["cursor"]), int(content["block"])
        self.revision, self._releases = int(content["revision"]), int(content["releases"])
        self.sources.load(content["sources"])
        self.inputs.load(content["inputs"])
        self.errors = Errors.load(content["errors"])
        self.grown_errors = Errors.load(content.get("grown_errors", {}))
        for name, table in self._tables.items():
            table.load(content[name])
        self._saved = (self.cursor, self.revision, self._releases)


def _with(given: Given, finding: Finding) -> Given:
    return replace(given, place=finding.place, answer=finding.answer, odds=finding.odds)


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)


def _told(row: Trusted) -> Mapping[str, Any]:
    bounds = [round(row.lower, 3), round(row.upper, 3)]
    return {"trust": round(row.mean, 3), "interval": bounds, "labels": row.labels, "distrusted": row.distrusted}


def read_summary(path: Path) -> Mapping[str, Any]:
    """:meth:`Ledger.summary` as of the last save, for whoever only looks. Raises StoreCorrupt."""
    try:
        found: Mapping[str, Any] = {**NOTHING, **orjson.loads(path.read_bytes())["summary"]}
    except FileNotFoundError:
        return NOTHING
    except (ValueError, TypeError, KeyError) as error:
        raise StoreCorrupt(f"{path}: not a ledger of labels ({error!r}); restore or delete it") from error
    return found
