"""Given what an update moves, when champion and candidate share layers, then as many as stay the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from daemon.config.task import TaskConfig
from daemon.models.base import BaseFiles
from daemon.models.encoder import Encoder
from daemon.models.tuning import apply_tuning, layer_stack
from daemon.training.sharing import share_prefix
from tests.models.bases import examples, tiny

LAST_2: dict[str, Any] = {"kind": "last_layers", "layers": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseFiles:
    return tiny(tmp_path_factory.mktemp("bert"), num_hidden_layers=4)


def pair(base: BaseFiles, config: TaskConfig) -> tuple[Encoder, Encoder]:
    candidate, champion = (Encoder.load(base, torch.device("cpu")) for _ in range(2))
    apply_tuning(candidate, config.tune, 0)
    return candidate, champion


def runs(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with every text that the first layer sees."""
    seen: list[str] = []
    first = layer_stack(encoder)[0]
    run = first.forward

    def count(*args: Any, **kwargs: Any) -> Any:
        seen.append("")
        return run(*args, **kwargs)

    monkeypatch.setattr(first, "forward", count)
    return seen


@pytest.mark.parametrize(
    ("task", "depth"),
    [
        ({"tune": LAST_2}, 2),
        ({"tune": {"kind": "last_layers", "layers": 4}}, 0),
        ({"tune": {"kind": "last_layers", "layers": 1}}, 2),
        ({"tune": {"kind": "last_layers", "layers": 1}, "head": {"kind": "none"}}, 3),
        ({"tune": {"kind": "head"}, "head": {"kind": "ncm", "layers": 1}}, 4),
        ({"tune": {"kind": "full"}}, 0),
        ({"tune": {"kind": "lora"}}, 0),
        ({"tune": LAST_2, "training": {"dropout_ratio": 0.1}}, 0),
    ],
)
def test_as_deep_as_nothing_moves_and_features_reach(base: BaseFiles, task: dict[str, Any], depth: int) -> None:
    config = TaskConfig.model_validate(task)
    candidate, champion = pair(base, config)
    assert share_prefix(candidate, champion, config) == depth


@torch.no_grad()
def test_what_one_has_read_the_other_need_not(base: BaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a candidate that has read some texts
    config = TaskConfig.model_validate({"tune": LAST_2})
    candidate, champion = pair(base, config)
    seen = runs(champion, monkeypatch)
    share_prefix(candidate, champion, config)
    candidate(examples())
    # When the champion reads them, then its first layer does not
    champion(examples())
    assert not seen


@torch.no_grad()
def test_nothing_is_shared_with_a_champion_whose_lower_layers_differ(
    base: BaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a champion that another kind of tuning made
    config = TaskConfig.model_validate({"tune": LAST_2})
    candidate, champion = pair(base, config)
    next(layer_stack(champion)[0].parameters()).add_(0.01)
    wanted = champion(examples()).pooled
    seen = runs(champion, monkeypatch)
    # When they share what they can
    assert share_prefix(candidate, champion, config) == 2
    candidate(examples())
    # Then the champion runs its own layers
    torch.testing.assert_close(champion(examples()).pooled, wanted)
    assert seen
