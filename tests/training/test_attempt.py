"""One attempt at a job, on the real base model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
import pytest
import torch
from safetensors.numpy import load_file

from daemon.clock import SystemClock
from daemon.errors import TrainingError
from daemon.events import Split, StoredEvent
from daemon.heads import get_head
from daemon.heads.store import load_state, load_weights, save_state
from daemon.models.prefix import Key, Prefix
from daemon.models.tuned import TunedModel, load_tuned
from daemon.registry.lineage import LINEAGE
from daemon.training import sharing
from daemon.training.attempt import Attempt
from daemon.training.refit import SETTLED
from daemon.update.job import JobResult, read_result
from strategies.base import Example
from tests.training import jobs

CPU = torch.device("cpu")
NCM = {"kind": "ncm", "layers": 1}


def attempt(job: Path, out: Path) -> JobResult:
    return Attempt(job, out, SystemClock()).run()


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def two_classes() -> Mapping[str, Sequence[StoredEvent]]:
    return {
        "new": jobs.rows(["card", "fee"], 6),
        "validation": jobs.rows(["card", "fee"], 2, Split.VALIDATION, start=20),
        "holdout": jobs.rows(["card", "fee"], 3, Split.HOLDOUT, start=30),
        "refit": jobs.rows(["card", "fee"], 6),
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jobs.base_version(tmp_path_factory.mktemp("base") / "000001")


@pytest.fixture(scope="module")
def first(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished first update of a task: LoRA, no fast head."""
    root = tmp_path_factory.mktemp("first")
    job = jobs.write(root / "job", base, two_classes(), ["card", "fee"])
    attempt(job, root / "out" / "attempt-2")
    return root


def test_the_first_update_gives_a_version_that_answers(first: Path) -> None:
    # Given a job on a base version, When it was tried, Then result, scores and version are there
    out = first / "out" / "attempt-2"
    result = read_result(out)
    assert (result.attempt, result.metric, result.blend) == (2, "accuracy", 1.0)
    assert result.holdout_labels == ("card", "fee") * 3
    model = load_tuned(out / "version", jobs.meta(tune={"kind": "lora"}), CPU)
    assert model.labels == ("card", "fee")
    # and the candidate has learnt what the base version, which scores 0 in each row, could not know
    scores = load_file(out / "scores.safetensors")
    assert scores["champion"].shape == scores["candidate"].shape == (6, 1)
    assert scores["validation_champion"].shape == scores["validation_candidate"].shape == (4, 1)
    assert scores["champion"].sum() == 0
    assert scores["candidate"].mean() >= 5 / 6


def test_metrics_tell_what_the_training_cost(first: Path) -> None:
    # Given 12 new rows and 2 epochs in steps of 4, without anything to replay
    metrics = read_result(first / "out" / "attempt-2").metrics
    # Then samples, steps, seconds and memory are told
    assert metrics["trained_samples"] == 24
    assert metrics["steps"] == 6
    assert set(metrics["seconds"]) == {"load", "grow", "train", "champion", "refit", "score", "save"}
    assert metrics["cpu_s"] > 0
    assert metrics["wall_s"] > 0
    assert metrics["peak_rss_bytes"] > 1 << 26
    assert 0 < metrics["loss"] < metrics["epoch_losses"][0]


def test_progress_is_told_as_json_lines(first: Path) -> None:
    # Given a finished attempt, Then each phase has a first and a last line, in order
    lines = [orjson.loads(x) for x in (first / "out" / "attempt-2" / "progress.jsonl").read_bytes().splitlines()]
    assert all(set(line) == {"phase", "done", "total", "loss", "time"} for line in lines)
    assert list(dict.fromkeys(line["phase"] for line in lines)) == [
        "load",
        "grow",
        "train",
        "champion",
        "refit",
        "score",
        "save",
    ]


def test_the_same_job_gives_the_same_bits(base: Path, first: Path, tmp_path: Path) -> None:
    # When the same job is tried again, Then version and scores are the same, bit for bit
    attempt(first / "job", tmp_path / "attempt-1")
    again, before = files(tmp_path / "attempt-1"), files(first / "out" / "attempt-2")
    kept = [name for name in before if name.startswith("version/") or name == "scores.safetensors"]
    assert kept
    assert {name: again[name] for name in kept} == {name: before[name] for name in kept}
    # and another seed gives others
    other = jobs.write(tmp_path / "job", base, two_classes(), ["card", "fee"], seed=4)
    attempt(other, tmp_path / "other")
    assert files(tmp_path / "other")["version/head.safetensors"] != before["version/head.safetensors"]


def second_job(first: Path, directory: Path, **config: Any) -> Path:
    """A new class, the old ones in the pool."""
    parent = jobs.as_version(first / "out" / "attempt-2" / "version", jobs.meta(tune=jobs_tune(first)))
    found = {
        "new": jobs.rows(["limit"], 6),
        "pool": jobs.rows(["card", "fee"], 3),
        "holdout": jobs.rows(["card", "fee", "limit"], 3, Split.HOLDOUT, start=30),
        "refit": jobs.rows(["card", "fee", "limit"], 4),
    }
    return jobs.write(directory, parent, found, ["card", "fee", "limit"], old=2, **config)


def jobs_tune(root: Path) -> Mapping[str, Any]:
    tune: Mapping[str, Any] = orjson.loads((root / "job" / "job.json").read_bytes())["config"]["tune"]
    return tune


def test_a_new_class_joins_and_old_ones_are_replayed(first: Path, tmp_path: Path) -> None:
    # Given a second job with a new class, When tried with replay
    job = second_job(first, tmp_path / "job", training={**jobs.SMALL["training"], "epochs": 4})
    before = files(job)
    result = attempt(job, tmp_path / "attempt-1")
    # Then new and replayed are counted, old classes still answer, and the job was not touched
    assert result.metrics["trained_samples"] == 48
    assert load_file(tmp_path / "attempt-1" / "scores.safetensors")["candidate"].mean() >= 7 / 9
    assert result.metrics["holdout_champion"] > 0.5
    assert files(job) == before


@pytest.mark.parametrize("tune", [{"kind": "head"}, {"kind": "last_layers", "layers": 1}, {"kind": "full"}])
def test_another_kind_of_tune_starts_from_the_base(first: Path, tmp_path: Path, tune: Mapping[str, Any]) -> None:
    # Given a LoRA parent, When the job asks for another kind, Then no adapter goes into the candidate
    attempt(second_job(first, tmp_path / "job", tune=tune), tmp_path / "attempt-1")
    version = tmp_path / "attempt-1" / "version"
    assert not (version / "adapter").exists()
    assert (version / "weights.safetensors").exists() == (tune["kind"] != "head")
    assert load_tuned(version, jobs.meta(tune=tune), CPU).labels == ("card", "fee", "limit")


def test_an_adapter_of_the_same_shape_is_continued_another_is_not(first: Path, tmp_path: Path) -> None:
    # Given a LoRA parent of rank 8, When nothing can move far
    still = {**jobs.SMALL["training"], "learning_rate": 1e-9, "head_learning_rate": 1e-9, "epochs": 1}
    attempt(second_job(first, tmp_path / "same", training=still), tmp_path / "1")
    attempt(second_job(first, tmp_path / "other", training=still, tune={"kind": "lora", "rank": 4}), tmp_path / "2")
    # Then the first candidate's adapter is the parent's; the second has one of its own rank
    before = load_file(first / "out" / "attempt-2" / "version" / "adapter" / "adapter_model.safetensors")
    same = load_file(tmp_path / "1" / "version" / "adapter" / "adapter_model.safetensors")
    other = load_file(tmp_path / "2" / "version" / "adapter" / "adapter_model.safetensors")
    assert all(np.allclose(same[name], before[name], atol=1e-6) for name in before)
    assert {array.shape[0] for name, array in other.items() if "lora_A" in name} == {4}


def test_a_joint_training_starts_from_the_base_whatever_the_parent_is(first: Path, tmp_path: Path) -> None:
    # Given a parent with classes and an adapter, and strategies that look back to a parent
    still = {**jobs.SMALL["training"], "learning_rate": 1e-9, "head_learning_rate": 1e-9, "epochs": 1}
    config: dict[str, Any] = {"training": still, "strategies": [{"name": "lwf"}, {"name": "er_ace"}, {"name": "ewc"}]}
    parent = jobs.as_version(first / "out" / "attempt-2" / "version", jobs.meta(tune=jobs_tune(first)))
    found = {"new": jobs.rows(["card", "fee", "limit"], 4)}
    # When it is trained jointly, as long as nothing moves
    three = ["card", "fee", "limit"]
    attempt(jobs.write(tmp_path / "job", parent, found, three, old=2, joint=12, **config), tmp_path / "1")
    # Then neither adapter nor head have anything of the parent's
    version = tmp_path / "1" / "version"
    made = load_tuned(version, jobs.meta(tune=jobs_tune(first)), CPU)
    adapter = load_file(version / "adapter" / "adapter_model.safetensors")
    head, before = load_file(version / "head.safetensors"), load_file(parent / "head.safetensors")
    assert made.labels == ("card", "fee", "limit")
    assert max(float(np.abs(array).max()) for name, array in adapter.items() if "lora_B" in name) < 1e-6
    assert not np.allclose(head["weight"][:2], before["weight"], atol=1e-3)
    # And the version owes nothing to what the parent was trained on
    assert len((version / LINEAGE).read_bytes()) == 8 * 12


def test_a_strategys_state_goes_from_version_to_version_until_tune_changes(base: Path, tmp_path: Path) -> None:
    # Given a first update with replay and ewc, where nothing can move far
    still = {**jobs.SMALL["training"], "learning_rate": 1e-9, "head_learning_rate": 1e-9, "epochs": 1}
    config: dict[str, Any] = {
        "training": still,
        "strategies": [{"name": "replay"}, {"name": "ewc", "decay_ratio": 1.0}],
        "tune": {"kind": "last_layers", "layers": 1},
    }
    attempt(jobs.write(tmp_path / "job", base, two_classes(), ["card", "fee"], **config), tmp_path / "1")
    parent = jobs.as_version(tmp_path / "1" / "version", jobs.meta(tune={"kind": "last_layers", "layers": 1}))
    # When the next one has one more class, Then importance adds up, and the new class's row has only its own
    found = {**two_classes(), "new": jobs.rows(["card", "fee", "limit"], 4)}
    three = ["card", "fee", "limit"]
    attempt(jobs.write(tmp_path / "job2", parent, found, three, old=2, **config), tmp_path / "2")
    alone = {**config, "strategies": [{"name": "ewc", "decay_ratio": 0.0}]}
    attempt(jobs.write(tmp_path / "job3", parent, found, three, old=2, **alone), tmp_path / "3")
    first, second, fresh = (load_file(tmp_path / n / "version" / "strategy" / "ewc.safetensors") for n in "123")
    assert sorted(path.name for path in (tmp_path / "2" / "version" / "strategy").iterdir()) == ["ewc.safetensors"]
    assert first.keys() == second.keys() == fresh.keys()
    for name, kept in first.items():
        np.testing.assert_allclose(second[name][: len(kept)], kept + fresh[name][: len(kept)], rtol=0.05, atol=1e-9)
    np.testing.assert_allclose(second["head.weight"][2], fresh["head.weight"][2], rtol=0.05)
    # and with another kind of tune, which starts from the base, none of it is taken over
    other = {**config, "tune": {"kind": "head"}}
    attempt(jobs.write(tmp_path / "job4", parent, found, three, old=2, **other), tmp_path / "4")
    afresh = load_file(tmp_path / "4" / "version" / "strategy" / "ewc.safetensors")
    assert afresh.keys() == {"head.weight", "head.bias"}
    assert afresh["head.weight"][:2].sum() < 0.75 * second["head.weight"][:2].sum()


def test_the_fast_head_is_refitted_and_the_champions_answers_for_it(base: Path, tmp_path: Path) -> None:
    # Given a base version whose fast head knows both classes
    kind = get_head("ncm")
    assert kind is not None
    state = kind.new({"layers": 1, "temperature": 20.0})
    model = load_tuned(base, jobs.meta(), CPU)
    for event in two_classes()["refit"]:
        assert isinstance(event.label, str)
        state.add(event.key, event.id, event.label, features(model, event))
    state.advance(50)
    save_state(tmp_path / "fast", state)
    # When a job with a fast head is tried
    job = jobs.write(tmp_path / "job", base, two_classes(), ["card", "fee"], fast=tmp_path / "fast", head=NCM)
    result = attempt(job, tmp_path / "attempt-1")
    # Then the champion answered by its fast head
    scores = load_file(tmp_path / "attempt-1" / "scores.safetensors")
    assert scores["champion"].mean() >= 5 / 6
    # and the candidate's fast head stands at the job's cursor, on its own features, with the chosen blend
    refitted = load_state(tmp_path / "attempt-1" / "version" / "fast")
    assert (refitted.cursor, refitted.members(), refitted.labels) == (99, 12, ("card", "fee"))
    weights, blend = load_weights(tmp_path / "attempt-1" / "version" / "fast")
    assert (weights.cursor, blend) == (99, result.blend)


def features(model: TunedModel, event: StoredEvent) -> np.ndarray[Any, np.dtype[np.float32]]:
    from daemon.models.tokens import Tokenizer

    ids, _ = Tokenizer.load(model.encoder.base.path).encode(event.input, 128)
    with torch.no_grad():
        found = model.encoder([Example("", ids, 0)], layers=1).features
    assert found is not None
    return np.asarray(found[0].numpy(), np.float32)


@pytest.mark.parametrize("holdout", [0, 6])
def test_without_validation_rows_both_heads_count_the_same(base: Path, tmp_path: Path, holdout: int) -> None:
    # Given a job with a fast head and no validation rows, Then the blend is one half: the holdout has no say in it
    rows = two_classes()
    found = {**rows, "validation": [], "holdout": rows["holdout"][:holdout]}
    job = jobs.write(tmp_path / "job", base, found, ["card", "fee"], head=NCM)
    assert attempt(job, tmp_path / "attempt-1").blend == 0.5
    assert load_file(tmp_path / "attempt-1" / "scores.safetensors")["candidate"].shape == (holdout, 1)


@pytest.mark.parametrize("validation", [0, 4])
def test_classes_that_were_seen_too_little_are_the_fast_heads_to_answer(
    base: Path, tmp_path: Path, validation: int
) -> None:
    # Given a job in which one class has been seen often and one seldom, with or without validation rows
    rows = two_classes()
    often = jobs.rows(["card"], SETTLED, start=100)
    found = {**rows, "validation": rows["validation"][:validation], "refit": [*often, *jobs.rows(["fee"], 3)]}
    # When it is tried
    job = jobs.write(tmp_path / "job", base, found, ["card", "fee"], head=NCM)
    attempt(job, tmp_path / "attempt-1")
    # Then the version tells which is which
    assert load_tuned(tmp_path / "attempt-1" / "version", jobs.meta(tune={"kind": "lora"}), CPU).young == {"fee"}
    # And where no fast head could answer, the tuned one answers for all
    alone = jobs.write(tmp_path / "alone", base, found, ["card", "fee"])
    attempt(alone, tmp_path / "attempt-2")
    assert not (tmp_path / "attempt-2" / "version" / "young.json").exists()


class Counting(Prefix):
    """How often something was remembered."""

    made: ClassVar[list[Counting]] = []

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.kept = 0
        self.made.append(self)

    def keep(self, key: Key, hidden: torch.Tensor) -> None:
        self.kept += 1
        super().keep(key, hidden)


def test_layers_that_do_not_move_are_run_once_per_text(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an update that moves the last layer
    monkeypatch.setattr(sharing, "Prefix", Counting)
    monkeypatch.setattr(Counting, "made", [])
    found, tune = two_classes(), {"kind": "last_layers", "layers": 1}
    # When it is trained, its fast head refitted, and both models are scored
    attempt(jobs.write(tmp_path / "job", base, found, ["card", "fee"], tune=tune, head=NCM), tmp_path / "attempt-1")
    # Then the five layers below were run once on each text and on the two labels' names
    (prefix,) = Counting.made
    texts = {event.input for rows in found.values() for event in rows}
    assert (prefix.depth, prefix.kept) == (5, len(texts) + 2)


def test_a_job_without_new_rows_is_refused(base: Path, tmp_path: Path) -> None:
    # Given nothing new, Then the message says so
    job = jobs.write(tmp_path / "job", base, {"new": []}, ["card"])
    with pytest.raises(TrainingError, match=r"job 000007: new\.jsonl is empty"):
        attempt(job, tmp_path / "attempt-1")


def test_an_update_that_goes_on_stays_part_of_the_way_one_from_the_base_goes_to_its_end(
    first: Path, tmp_path: Path
) -> None:
    # Given an update that goes on from the first, and one that starts from the base again, both to be averaged
    training = {**jobs.SMALL["training"], "wise_ft_ratio": 0.6}
    ends = {}
    for name, config in {"on": {}, "anew": {"tune": {"kind": "head"}}}.items():
        job = second_job(first, tmp_path / f"job-{name}", training=training, **config)
        ends[name] = attempt(job, tmp_path / name).metrics["wise_ft_ratio"]
    # Then the one that goes on is averaged with what it goes on from, the other is not
    assert ends == {"on": 0.6, "anew": 1.0}


def swapped(first: Path, directory: Path, **gate: Any) -> Path:
    """A second job whose new rows say the opposite of what the parent learnt."""
    parent = jobs.as_version(first / "out" / "attempt-2" / "version", jobs.meta(tune=jobs_tune(first)))
    other = {"card": "fee", "fee": "card"}
    found = {
        **{split: rows for split, rows in two_classes().items() if split != "refit"},
        "new": [replace(event, label=other[str(event.label)]) for event in two_classes()["new"]],
    }
    training = {**jobs.SMALL["training"], "epochs": 6, "wise_ft_ratio": 1.0}
    return jobs.write(directory, parent, found, ["card", "fee"], old=2, training=training, strategies=[], gate=gate)


def test_an_update_that_gets_right_answers_wrong_goes_back_part_of_the_way(first: Path, tmp_path: Path) -> None:
    # Given new rows with swapped labels, and a gate that judges the holdout's six rows
    ends = {}
    for most in (1.0, 0.05):
        job = swapped(first, tmp_path / f"job-{most}", min_rows=6, max_negative_flip_ratio=most)
        ends[most] = attempt(job, tmp_path / str(most))
    # Then where all may turn wrong it goes to the end, which gets validation rows wrong that were right
    assert ends[1.0].metrics["wise_ft_ratio"] == 1.0
    assert ends[1.0].metrics["validation_candidate"] < ends[1.0].metrics["validation_champion"]
    # and where hardly any may, part of the way, on which fewer do
    assert ends[0.05].metrics["wise_ft_ratio"] == pytest.approx(0.36)
    assert ends[0.05].metrics["validation_candidate"] > ends[1.0].metrics["validation_candidate"]
    # and the version has the weights of that point, in each of the parent's rows of the head
    start, far, near = (
        load_file(path / "head.safetensors")["weight"]
        for path in (
            first / "out" / "attempt-2" / "version",
            tmp_path / "1.0" / "version",
            tmp_path / "0.05" / "version",
        )
    )
    np.testing.assert_allclose(near - start, 0.36 * (far - start), atol=1e-6)


def test_with_too_few_holdout_rows_to_be_asked_it_goes_all_the_way(first: Path, tmp_path: Path) -> None:
    # Given a gate that wants more rows than there are, Then the bound is not asked, and the end is the trained one
    job = swapped(first, tmp_path / "job", min_rows=7, max_negative_flip_ratio=0.05)
    assert attempt(job, tmp_path / "attempt-1").metrics["wise_ft_ratio"] == 1.0
