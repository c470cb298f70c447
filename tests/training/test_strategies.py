"""Every strategy that ships, through two updates of the real base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from daemon.clock import SystemClock
from daemon.events import Split
from daemon.training.attempt import Attempt
from daemon.update.job import JobResult
from strategies import catalog
from tests.training import jobs

OLD, NEW = ["card", "fee"], ["limit"]
REPLAYING = {"replay", "der++", "er_ace"}
KEEPING = {"ewc", "si", "mas"}
# Ours; Avalanche's plugins: tests/strategies/test_avalanche_updates.py.
TOGETHER = ("replay", "er_ace", "der++", "lwf", "si", "ewc", "mas", "l2_anchor", "agem")
TUNE: Mapping[str, Any] = {"kind": "last_layers", "layers": 1}


def config(strategies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    training = {**jobs.SMALL["training"], "epochs": 3, "layer_decay_ratio": 0.9, "wise_ft_ratio": 0.9}
    return {"training": training, "tune": TUNE, "strategies": strategies}


def attempt(job: Path, out: Path) -> JobResult:
    return Attempt(job, out, SystemClock()).run()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jobs.base_version(tmp_path_factory.mktemp("base") / "000001")


def two_updates(base: Path, root: Path, strategies: Sequence[Mapping[str, Any]], *, pool: bool = True) -> JobResult:
    """The first on two classes; the second brings a third, with the old ones in the pool. Result of the second."""
    told = config(strategies)
    attempt(jobs.write(root / "job1", base, {"new": jobs.rows(OLD, 6)}, OLD, **told), root / "1")
    parent = jobs.as_version(root / "1" / "version", jobs.meta(tune=TUNE))
    found = {
        "new": jobs.rows(NEW, 6),
        "pool": jobs.rows(OLD, 6) if pool else [],
        "holdout": jobs.rows([*OLD, *NEW], 3, Split.HOLDOUT, start=30),
    }
    return attempt(jobs.write(root / "job2", parent, found, [*OLD, *NEW], old=2, **told), root / "2")


@pytest.mark.parametrize("name", TOGETHER)
def test_each_trains_two_updates(base: Path, tmp_path: Path, name: str) -> None:
    # Given a task that gets a new class in its second update, When both are trained with a strategy
    result = two_updates(base, tmp_path, [{"name": name}])
    # Then the new class is known, and where old events are trained on so are the old ones
    known = by_class(tmp_path)
    assert known["limit"] >= 2 / 3
    assert result.metrics["trained_samples"] == (36 if name in REPLAYING else 18)
    if name in REPLAYING:
        assert min(known.values()) >= 2 / 3
    # and what the version keeps is the importance of weights, where a strategy finds one
    check_kept(tmp_path, {name})


def test_all_of_them_train_as_one_list(base: Path, tmp_path: Path) -> None:
    # Given every strategy in the order that the reference asks for, When two updates are trained
    result = two_updates(base, tmp_path, [{"name": name} for name in TOGETHER])
    # Then one draw of replayed events serves all, old classes are known, and each kept its own state
    assert {*TOGETHER, "avalanche"} == set(catalog.BUILT_IN)
    assert result.metrics["trained_samples"] == 36
    assert min(by_class(tmp_path)[label] for label in OLD) >= 2 / 3
    check_kept(tmp_path, set(TOGETHER))


@pytest.mark.parametrize(("name", "strength"), [("l2_anchor", 10.0), ("si", 100.0), ("mas", 1.0)])
def test_held_weights_stay_nearer_to_the_parent(base: Path, tmp_path: Path, name: str, strength: float) -> None:
    # Given two updates, of which the second has no stored events, with and without a strategy's hold
    for given in (0.0, strength):
        two_updates(base, tmp_path / str(given), [{"name": name, "strength": given}], pool=False)
    free, held = (tmp_path / str(given) for given in (0.0, strength))
    # Then weights went less far with it, and of the old classes no fewer events are known
    assert way(held) < 0.75 * way(free)
    assert sum(by_class(held)[label] for label in OLD) >= sum(by_class(free)[label] for label in OLD)


def by_class(root: Path) -> dict[str, float]:
    """The second candidate's accuracy on the holdout's rows of each class."""
    scores = load_file(root / "2" / "scores.safetensors")["candidate"].reshape(-1)
    return {label: float(scores[i::3].mean()) for i, label in enumerate([*OLD, *NEW])}


def way(root: Path) -> float:
    """How far the second update took the encoder, and the head's rows that were there before."""
    total = 0.0
    for file in ("weights", "head"):
        before, after = (load_file(root / update / "version" / f"{file}.safetensors") for update in "12")
        total += sum(float((after[key][: len(found)] - found).square().sum()) for key, found in before.items())
    return sqrt(total)


def check_kept(root: Path, names: AbstractSet[str]) -> None:
    kept = {path.stem for path in (root / "2" / "version" / "strategy").glob("*")}
    assert kept == KEEPING & names
    for name in kept:
        check_importance(*(load_file(root / n / "version" / "strategy" / f"{name}.safetensors") for n in "12"))


def check_importance(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> None:
    """It grew by a row, kept what was found before, and lies on every weight that moves."""
    assert before.keys() == after.keys() > {"head.weight", "head.bias"}
    assert [len(state["head.weight"]) for state in (before, after)] == [2, 3]
    for name, found in after.items():
        old = before[name]
        assert bool((found[: len(old)] >= 0.95 * old * (1 - 1e-4) - 1e-30).all())
        assert bool(torch.isfinite(found).all())
        assert bool(found.any())
