"""Which labels are let in (``labels`` of a task), and which of them count as classes. Pure; free of torch."""

from __future__ import annotations

import re
from collections.abc import Mapping

from daemon.config.task import Labels
from daemon.errors import DecodeError
from daemon.events import LabelValue

_BETWEEN = re.compile(r"[\s_\-./:]+|(?<=[a-z])(?=[A-Z])")


def admit(label: LabelValue, known_counts: Mapping[str, int], cfg: Labels) -> None:
    """Raise DecodeError where ``label`` may not become a class.

    ``known_counts`` maps the class names so far (as ``ports.label_text`` writes them) to their rows.
    Reasons: ``unknown_label`` (``labels.mode: closed``), ``too_many_labels`` (``labels.max_labels``).
    Numbers are no classes and always pass.
    """
    if isinstance(label, str) and label in known_counts and cfg.mode != "closed":
        return  # the usual case, for every event: no set is built
    if isinstance(label, str):
        names, known = {label}, known_counts.keys() | set(cfg.known)
    elif isinstance(label, tuple):
        names = set(label)
        known = {part for joined in known_counts for part in joined.split("|")} | set(cfg.known)
    else:
        return
    if cfg.mode == "closed":
        unknown = names - set(cfg.known)
        if unknown:
            raise DecodeError(
                "unknown_label",
                f"label: {min(unknown)!r} is not in labels.known and labels.mode is closed; add it or mend the record",
            )
        return
    new = names - known
    if new and len(known | new) > cfg.max_labels:
        raise DecodeError(
            "too_many_labels",
            f"label: {min(new)!r} would be class number {len(known | new)}, labels.max_labels is {cfg.max_labels}; "
            "raise it or mend the record",
        )


def standing(cfg: Labels) -> tuple[str, ...]:
    """The labels that are known before the first event, each once."""
    return tuple(dict.fromkeys([*cfg.known, *cfg.descriptions]))


def words(label: str, cfg: Labels) -> str:
    """What a label says: its description, or its name as words (``card_lost``, ``CardLost``: "card lost")."""
    described = cfg.descriptions.get(label)
    if described:
        return described
    spaced = _BETWEEN.sub(" ", label).strip()
    return spaced.lower() if spaced else label


def is_class(name: str, rows: int, cfg: Labels) -> bool:
    """Whether a label with so many train rows counts as a class: in ``quarantine`` an unknown one only
    from ``labels.min_count`` rows on. Asked by who answers and who teaches; the events are kept all the same."""
    return cfg.mode != "quarantine" or name in standing(cfg) or rows >= cfg.min_count
