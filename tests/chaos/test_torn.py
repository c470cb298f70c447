"""A champion whose manifest is torn at any byte, under a predictor that answers: the version before answers on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from daemon.config.tune import HeadTune
from daemon.events import Input
from daemon.models.encoder import Encoder
from daemon.models.tuned import TunedModel, save_tuned
from daemon.registry.store import MANIFEST, FileRegistry
from daemon.registry.version import VersionMeta
from daemon.serving.predictor import Predictor
from daemon.serving.watch import Watcher
from daemon.tasks import get_task
from daemon.testing import FakeClock
from tests.models.bases import tiny

pytestmark = pytest.mark.chaos


def publish(registry: FileRegistry, scratch: Path, number: int) -> str:
    base, task, labels = tiny(scratch / "base"), get_task("sequence"), ("a", "b")
    encoder = Encoder.load(base, torch.device("cpu"))
    head = task.build_head(encoder.hidden_size, labels, None, number)
    staging = scratch / f"staging-{number}"
    save_tuned(TunedModel(encoder, head, labels, task), HeadTune(), staging)
    tune = HeadTune().model_dump(mode="json")
    meta = VersionMeta("support", "sequence", base.name, base.sha256, 32, tune=tune)
    return registry.publish(staging, meta, created=0.0).id


def test_a_manifest_torn_at_every_byte_leaves_the_version_before_answering(tmp_path: Path, rng: random.Random) -> None:
    # Given a version that answers, and a successor
    registry, clock = FileRegistry(tmp_path / "registry"), FakeClock()
    first, second = publish(registry, tmp_path, 1), publish(registry, tmp_path, 2)
    registry.promote("support", first, who="test", why="", time=0.0)
    predictor = Predictor(4096, 256)
    watcher = Watcher(registry, tmp_path / "heads", predictor, ["support"], torch.device("cpu"), fast=(), clock=clock)
    watcher.look()
    registry.promote("support", second, who="test", why="", time=0.0)
    manifest = tmp_path / "registry" / second / MANIFEST
    whole = manifest.read_bytes()
    # When its manifest is torn at each byte in turn
    for size in rng.sample(range(len(whole)), len(whole)):
        manifest.write_bytes(whole[:size])
        clock.advance(3600)
        assert watcher.look() == 0
        (answer,) = predictor.submit("support", [Input("hello")]).result(30)
        # Then the version before answers on
        assert answer["version"] == first, f"{size} bytes"
    # And once it is whole the successor does
    manifest.write_bytes(whole)
    clock.advance(3600)
    assert watcher.look() == 1
    (answer,) = predictor.submit("support", [Input("hello")]).result(30)
    assert answer["version"] == second
    predictor.close()
