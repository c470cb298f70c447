"""Plugins of Avalanche's through the real trainer: the real encoder, two updates, the second with a new class."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from daemon.clock import SystemClock
from daemon.events import Split
from daemon.models.tokens import Tokenizer
from daemon.models.tuned import load_tuned
from daemon.tasks import get_task
from daemon.training.attempt import Attempt
from daemon.training.rows import RowEncoder
from strategies.avalanche_plugins import PLUGINS
from tests.strategies.avalanche_cases import ARGS
from tests.training import jobs

pytestmark = pytest.mark.slow
LORA = {"kind": "lora", "rank": 8, "alpha": 16.0, "dropout_ratio": 0.0, "targets": []}

CLASSES = ("card", "fee", "limit")
"""The second update brings the last."""

STRONG = {**ARGS, "EWCPlugin": {"ewc_lambda": 1e10}}
"""After an update that learnt its few texts by heart the importances are tiny."""


@pytest.fixture(autouse=True, scope="module")
def restored() -> Iterator[None]:
    """An attempt makes its process deterministic."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jobs.base_version(tmp_path_factory.mktemp("base") / "000001")


def first_job(root: Path, base: Path, strategies: list[Mapping[str, Any]]) -> Path:
    found = {"new": jobs.rows(["card", "fee"], 6), "holdout": jobs.rows(["card", "fee"], 3, Split.HOLDOUT, start=30)}
    return jobs.write(root / "job-1", base, found, ["card", "fee"], strategies=strategies)


def second_job(root: Path, version: Path, strategies: list[Mapping[str, Any]]) -> Path:
    """One class that is new; the old ones are in the pool only."""
    found = {
        "new": jobs.rows(["limit"], 8),
        "pool": jobs.rows(["card", "fee"], 4),
        "holdout": jobs.rows(["card", "fee", "limit"], 3, Split.HOLDOUT, start=30),
    }
    parent = jobs.as_version(version, jobs.meta(tune=LORA))
    training = {**jobs.SMALL["training"], "epochs": 4}
    return jobs.write(
        root / "job-2", parent, found, ["card", "fee", "limit"], old=2, strategies=strategies, training=training
    )


def two_updates(root: Path, base: Path, strategies: list[Mapping[str, Any]]) -> int:
    """Returns how many examples the second one trained."""
    Attempt(first_job(root, base, strategies), root / "attempt-1", SystemClock()).run()
    job = second_job(root, root / "attempt-1" / "version", strategies)
    return int(Attempt(job, root / "attempt-2", SystemClock()).run().metrics["trained_samples"])


def answers(version: Path, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Logits [N, C] and classes [N] of texts of ``labels`` that no update saw."""
    model = load_tuned(version, jobs.meta(tune=LORA), torch.device("cpu"))
    encoder = RowEncoder(get_task("sequence"), Tokenizer.load(version / "tokenizer"), 128)
    examples = encoder.encode(jobs.rows(labels, 6, start=40), CLASSES)
    with torch.no_grad():
        return model.forward(examples).logits, torch.tensor([example.target for example in examples])


def old_loss(root: Path) -> float:
    """The second version's mean loss on texts of the old classes, all its classes at choice."""
    return float(cross_entropy(*answers(root / "attempt-2" / "version", CLASSES[:2])))


def away_from_parent(root: Path) -> float:
    """KL of its answers from the first version's, among the old classes, on texts like those of the update."""
    before, after = (answers(root / f"attempt-{number}" / "version", CLASSES[2:])[0][:, :2] for number in (1, 2))
    return float(kl_div(after.log_softmax(-1), before.log_softmax(-1), reduction="batchmean", log_target=True))


FORGOTTEN: Mapping[str, Callable[[Path], float]] = {"LwFPlugin": away_from_parent}
"""How what was lost is measured, where it is not by the loss. LwF asks the parent about the update's texts only, and
about the old classes only: of what a new class takes from them it knows nothing."""


@pytest.fixture(scope="module")
def updated(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, int]]:
    """Two updates with a plugin, or with none, run once: where they are, and how many examples the second trained."""

    @cache
    def run(plugin: str) -> tuple[Path, int]:
        root = tmp_path_factory.mktemp(plugin or "naive")
        named = {"name": "avalanche", "plugin": plugin, "args": STRONG.get(plugin)}
        return root, two_updates(root, base, [named] if plugin else [])

    return run


@pytest.fixture(scope="module")
def naive(updated: Callable[[str], tuple[Path, int]]) -> Path:
    root, trained = updated("")
    assert trained == 32
    return root


@pytest.mark.parametrize("plugin", list(PLUGINS))
def test_what_an_update_taught_is_kept_better_than_without(
    plugin: str, updated: Callable[[str], tuple[Path, int]], naive: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given two updates with the plugin, the second with a class that is new and none that is old
    root, trained = updated(plugin)
    # Then less than half is lost of what plain fine-tuning loses
    forgotten = FORGOTTEN.get(plugin, old_loss)
    assert forgotten(root) < 0.5 * forgotten(naive)
    # and only replay trains old examples: four beside each four new ones
    assert trained == (64 if plugin == "ReplayPlugin" else 32)
    # and the versions hold tensors, by the second of which two updates are told, and what each brought
    state = load_file(root / "attempt-2" / "version" / "strategy" / "avalanche.safetensors")
    assert int(state[f"{plugin}/experiences"]) == 2
    assert state[f"{plugin}/introduced"].tolist() == [0, 0, 1]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in state.values())
    assert any("/kept/" in name for name in state) == bool(PLUGINS[plugin].keeps)
    # and nothing was printed
    assert capfd.readouterr() == ("", "")


def test_the_trainers_own_process_is_silent_offline_and_gives_the_same_bits(
    updated: Callable[[str], tuple[Path, int]], tmp_path: Path
) -> None:
    # Given a home where nothing can be written, and no word to any tracker what to do
    unset = ("WANDB_MODE", "HF_HUB_OFFLINE", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    environ = {name: value for name, value in os.environ.items() if name not in unset}
    root, _ = updated("AGEMPlugin")
    # When the second update is tried in a process of its own
    command = [sys.executable, "-m", "daemon.training", str(root / "job-2"), str(tmp_path / "attempt-3")]
    done = subprocess.run(
        command, env={**environ, "HOME": "/dev/null/home"}, capture_output=True, text=True, check=False
    )
    # Then it is done, says nothing, and gives what the same job gave here
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    here, there = root / "attempt-2" / "version", tmp_path / "attempt-3" / "version"
    names = [path.relative_to(here) for path in here.rglob("*.safetensors")]
    assert Path("strategy/avalanche.safetensors") in names
    assert len(names) == 3
    for name in names:
        one, other = load_file(here / name), load_file(there / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
