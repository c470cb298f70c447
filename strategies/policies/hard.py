"""Hard examples: what the parent gets most wrong is rehearsed (as Shrivastava et al. 2016 do within a batch)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from strategies.base import Example, TrainContext
from strategies.policies.chooser import Chooser
from strategies.policies.parent import losses
from strategies.policies.shares import spread


class Hard(Chooser):
    """A share of the events with the highest loss under the parent, the rest in equal shares over classes."""

    kind: Literal["hard"] = "hard"
    share_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The hard share of what is chosen."""
    skip_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """So many of the candidates, those with the very highest loss, do not count as hard: often they are mislabelled."""

    def select(self, context: TrainContext, candidates: Sequence[Example], n: int) -> Sequence[Example]:
        """Events of a class that the parent does not know are the hardest."""
        known = set(context.labels[: context.old_classes])
        judged = [example for example in candidates if example.label in known]
        order = np.argsort(-losses(context, judged), kind="stable")[int(len(judged) * self.skip_ratio) :]
        ranked = [example for example in candidates if example.label not in known]
        ranked += [judged[place] for place in order]
        hard = ranked[: round(n * self.share_ratio)]
        taken = {example.event_id for example in hard}
        rest = [example for example in candidates if example.event_id not in taken]
        return [*hard, *spread(rest, n - len(hard))]
