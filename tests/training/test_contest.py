"""Given a row that a fast head has learnt, when it judges, then it is answered as if it had not been learnt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from daemon.clock import SystemClock
from daemon.config.head import RanpacHead
from daemon.events import Split
from daemon.heads import get_head
from daemon.heads.ports import HeadState
from daemon.models.encoder import Encoder
from daemon.models.tokens import Tokenizer
from daemon.models.tuned import TunedModel
from daemon.tasks import get_task
from daemon.training.answers import run_heads
from daemon.training.contest import Contestant
from daemon.training.progress import Progress
from daemon.training.rows import RowEncoder
from tests.models.bases import minilm
from tests.training import jobs

RANPAC: dict[str, Any] = {**RanpacHead().model_dump(mode="json"), "width": 200, "layers": 1}
NCM: dict[str, Any] = {"kind": "ncm", "layers": 1, "temperature": 20.0}


@pytest.fixture(scope="module")
def model() -> TunedModel:
    torch.set_num_threads(1)
    return TunedModel(Encoder.load(minilm(), torch.device("cpu")), None, (), get_task("sequence")).eval()


@pytest.fixture(scope="module")
def encoder() -> RowEncoder:
    return RowEncoder(get_task("sequence"), Tokenizer.load(minilm().path), 32)


@pytest.fixture
def progress(tmp_path: Path) -> Iterator[Progress]:
    with Progress(tmp_path / "progress.jsonl", SystemClock()) as made:
        yield made


def learnt(model: TunedModel, encoder: RowEncoder, progress: Progress, options: dict[str, Any]) -> HeadState:
    """A head that knows eight right rows a class, and one wrong one."""
    kind = get_head(options["kind"])
    assert kind is not None
    state = kind.new(options)
    rows = [*jobs.rows(["card", "fee"], 8), *WRONG]
    features = run_heads(model, encoder.task, encoder.encode(rows, ()), 1, progress).features
    for event, vector in zip(rows, features, strict=True):
        assert isinstance(event.label, str)
        state.add(event.key, event.id, event.label, vector)
    return state


WRONG = [replace(jobs.row("card", 40), label="fee")]


@pytest.mark.parametrize("options", [RANPAC, NCM])
def test_rows_that_were_set_aside_are_answered_unlearnt(
    model: TunedModel, encoder: RowEncoder, progress: Progress, options: dict[str, Any]
) -> None:
    # Given a head that has learnt a row with a wrong label, and one that never saw it
    side = Contestant(model, learnt(model, encoder, progress, options), 0.0, lambda label, count: True)
    assert side.state is not None
    before = side.state.weights()
    # When the row judges, with others
    scores = side.answer([*WRONG, *jobs.rows(["card", "fee"], 2, Split.HOLDOUT, start=20)], encoder, progress)
    # Then the head contradicts it
    assert scores[:, 0].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]
    # And it is in the head again
    assert side.state.holds(WRONG[0].key, WRONG[0].id)
    probe = np.full((1, 384), 384**-0.5, np.float32)
    assert side.fast is not None
    np.testing.assert_allclose(side.fast.weights.probabilities(probe), before.probabilities(probe), atol=1e-3)
