"""When an update is joint training: the base anew, on the whole history, while that can be afforded.

A model that goes on from where it stands learns less from the same events than one that starts again (Ash & Adams
2020), and forgets; joint training does neither, but costs as much as the history is long. So it is done up to
``update.joint_max_events`` train events, each time the history has grown by ``update.joint_growth_ratio``: all of
them together cost a few times the last one. In between, and from then on, updates go on from the champion.
"""

from __future__ import annotations

from math import ceil

from daemon.config.task import Update


def is_joint(config: Update, stored: int, before: int) -> bool:
    """``stored``: train events; ``before``: stored at the last joint training that was judged, 0 without one."""
    return 0 < stored <= config.joint_max_events and stored - before >= _wanted(config, before)


def growth(config: Update, before: int) -> int:
    """New events that are worth waiting for: with them the next update is joint training. 0 where it cannot be."""
    wanted = _wanted(config, before)
    return wanted if before + wanted <= config.joint_max_events else 0


def _wanted(config: Update, before: int) -> int:
    return ceil(config.joint_growth_ratio * before)
