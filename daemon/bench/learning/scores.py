"""What a learner that has a model at the end of each group gets, measured as a backtest measures ours.

Between two ends it answers with the model of the last one, before the first with nothing: that is what would have been
served, and the any-time value counts it. An answer is chosen among the classes that the model has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.backtest.holdout import Part, Units
from daemon.backtest.points import Points
from daemon.backtest.report import backward_transfer, forgetting
from daemon.bench.learning.history import History, Row
from daemon.tasks.schema import SequenceSchema

Right = NDArray[np.float64]
"""[rows] 1 where the answer is right."""


def scores(history: History, scored: Sequence[Row], right: Sequence[Right], every: int) -> dict[str, Any]:
    """``right``: of all scored rows after each group. The values of a backtest's report, by its names."""
    aggregate = SequenceSchema().aggregate
    places: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(scored):
        places.setdefault((row.group, row.label), []).append(place)
    parts = [(Part(group, (label,)), np.array(at)) for (group, label), at in places.items()]
    groups = np.array([history.groups.index(row.group) for row in scored])
    matrix = [
        [float(now[groups == j].mean()) if j <= i and (groups == j).any() else None for j in range(len(history.groups))]
        for i, now in enumerate(right)
    ]
    overall = [float(now[groups <= i].mean()) if (groups <= i).any() else 0.0 for i, now in enumerate(right)]
    points = Points(aggregate)
    for played in sorted({*range(every, len(history.lines) + 1, every), *history.ends}):
        ended = sum(end <= played for end in history.ends)
        now = right[ended - 1] if ended else np.zeros(len(scored))
        units: Sequence[tuple[Part, Units]] = [(part, now[at][:, None]) for part, at in parts]
        points.add(played, units, history.counts(played))
    return {
        "matrix": matrix,
        "final": overall[-1],
        "average_incremental": float(np.mean(overall)),
        "forgetting": forgetting(matrix),
        "backward_transfer": backward_transfer(matrix),
        "any_time": points.summary(),
    }
