"""A hundred swaps under load, among versions with different encoders and label maps, each answer recomputed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.config.task import Model
from daemon.config.tune import FullTune, LastLayersTune, Tune
from daemon.events import Input
from daemon.heads.ncm import NcmState
from daemon.heads.store import save_weights
from daemon.models.base import BaseFiles, resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tuned import TunedModel, save_tuned
from daemon.models.tuning import apply_tuning
from daemon.registry.store import FileRegistry
from daemon.registry.version import VersionMeta
from daemon.serving.loading import load_served
from daemon.serving.predictor import Answers, Predictor
from daemon.serving.watch import Watcher
from daemon.tasks import get_task
from tests.models.bases import tiny

CLIENTS = 4
LONG = pytest.mark.timeout(1200)
TEXTS = ("I lost my card", "where is my parcel", "refund, please", "the app does not open", "how do I close it")
LABELS = ("card", "parcel", "refund", "login", "closing", "other")
RECOMPUTE = """
import json, sys
from pathlib import Path
from tests.daemon.test_swaps import recompute
print(json.dumps(recompute(Path(sys.argv[1]), json.loads(sys.stdin.read()))))
"""


def folded(served: Any, count: int, state: NcmState | None = None) -> NcmState:
    """The fast head after ``count`` labels: a function of the version and ``labels_seen`` alone."""
    state = state or NcmState(20.0, 2)
    for number in range(state.cursor, count):
        text = f"{TEXTS[number % len(TEXTS)]} {number}"
        label = f"{LABELS[(number + int(served.version_id)) % len(LABELS)]}"
        state.add(number.to_bytes(16, "big"), str(number), label, served.features([Input(text)], 2)[0])
    state.advance(count)
    return state


def recompute(root: Path, asked: list[list[Any]]) -> list[dict[str, float]]:
    """The scores of (version, labels_seen, text), from the registry and nothing else."""
    torch.set_num_threads(1)
    registry, models, heads = FileRegistry(root), {}, {}
    answers = []
    for version, seen, text in asked:
        if version not in models:
            models[version] = load_served(registry.load(version), None, torch.device("cpu"))
        if (version, seen) not in heads:
            heads[version, seen] = models[version].with_weights(folded(models[version], seen).weights(), 0.5)
        answers.append(dict(heads[version, seen].answer([Input(text)], 10)[0]["scores"]))
    return answers


def make_versions(root: Path, scratch: Path, *, real: int) -> FileRegistry:
    """Six versions, each with its own labels: the first ``real`` of the even ones on the real base with moved
    layers, the others on a small one."""
    registry, task = FileRegistry(root), get_task("sequence")
    bases: list[tuple[BaseFiles, Tune]] = [
        (resolve_base(Model()), LastLayersTune(layers=1)),
        (tiny(scratch / "tiny"), FullTune()),
    ]
    for number in range(6):
        base, tune = bases[0 if number % 2 == 0 and number < 2 * real else 1]
        encoder = Encoder.load(base, torch.device("cpu"))
        apply_tuning(encoder, tune, number)
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in encoder.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.02)
        labels = LABELS[: 2 + number % 4]
        head = task.build_head(encoder.hidden_size, labels, None, number)
        staging = scratch / f"staging-{number}"
        save_tuned(TunedModel(encoder, head, labels, task), tune, staging)
        meta = VersionMeta("support", "sequence", base.name, base.sha256, 32, tune=tune.model_dump(mode="json"))
        registry.publish(staging, meta, created=float(number))
    return registry


@pytest.mark.parametrize(
    ("swaps", "real"),
    [pytest.param(100, 3, marks=pytest.mark.slow), pytest.param(1000, 1, marks=[pytest.mark.chaos, LONG])],
)
def test_given_swaps_under_load_then_each_answer_is_of_one_version_and_its_labels(
    tmp_path: Path, swaps: int, real: int
) -> None:
    # Given six versions, the first of them served, and clients that never stop asking
    torch.set_num_threads(1)
    registry = make_versions(tmp_path / "registry", tmp_path, real=real)
    ids = [version.id for version in registry.versions()]
    heads = tmp_path / "heads"
    learners = {name: load_served(registry.load(name), None, torch.device("cpu")) for name in ids}
    seen = dict.fromkeys(ids, 1)
    states = {name: folded(learners[name], 1) for name in ids}
    for name in ids:
        save_weights(heads / "support" / name, states[name].weights(), 0.5)
    registry.promote("support", ids[0], who="test", why="", time=0.0)
    predictor = Predictor(4096, 256)
    watcher = Watcher(registry, heads, predictor, ["support"], torch.device("cpu"), poll_s=0.01)
    watcher.start()
    while not predictor.ready("support"):
        time.sleep(0.01)
    stop, failures = threading.Event(), []
    answers: list[tuple[float, str, dict[str, Any]]] = []
    order: list[str] = []

    def given(future: Future[Answers]) -> None:
        """Versions in the order in which the predictor's one thread answers: a client may note its own late."""
        if threading.current_thread().name == "predictor" and future.exception() is None:
            order.append(str(future.result()[0]["version"]))

    def ask(client: int) -> None:
        turn = client
        while not stop.is_set():
            text = TEXTS[turn % len(TEXTS)]
            turn += 1
            try:
                future = predictor.submit("support", [Input(text)], 10, block=True)
                future.add_done_callback(given)
                answer = future.result(timeout=30)[0]
            except Exception as error:  # noqa: BLE001 - any failure of a request is what the test is about
                failures.append(repr(error))
                return
            answers.append((time.monotonic(), text, dict(answer)))
            time.sleep(0.02)

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()

    # When the alias moves so often, a label being folded in between
    windows, end = [], 0
    for swap in range(1, swaps + 1):
        before, after = ids[(swap - 1) % len(ids)], ids[swap % len(ids)]
        seen[after] += 1
        save_weights(heads / "support" / after, folded(learners[after], seen[after], states[after]).weights(), 0.5)
        opened, position = time.monotonic(), len(order)
        while before not in order[position:]:
            assert time.monotonic() < opened + 30, f"{before} does not answer"
            time.sleep(0.002)
        registry.promote("support", after, who="test", why="", time=float(swap))
        while after not in order[position:]:
            assert time.monotonic() < opened + 60, f"swap {swap} to {after} did not happen"
            time.sleep(0.002)
        start, end = end, len(order)
        windows.append(set(order[start:end]))
    stop.set()
    for client in clients:
        client.join()
    watcher.close()
    predictor.close()

    # Then none failed, and from swap to swap exactly the old and the new version answered
    assert not failures
    assert all(len(window) == 2 for window in windows)

    # And another process gets every answer again from its (version, labels_seen)
    distinct = {(answer["version"], answer["labels_seen"], text): answer for _, text, answer in answers}
    done = subprocess.run(
        [sys.executable, "-c", RECOMPUTE, str(tmp_path / "registry")],
        input=json.dumps([list(key) for key in distinct]),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    again = dict(zip(distinct, json.loads(done.stdout), strict=True))
    for _, text, answer in answers:
        expected = again[answer["version"], answer["labels_seen"], text]
        assert expected.keys() == answer["scores"].keys()
        assert all(abs(expected[label] - score) < 1e-4 for label, score in answer["scores"].items())
