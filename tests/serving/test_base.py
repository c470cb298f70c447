"""The real thing: all-MiniLM-L6-v2 from disk, a fast head on it, and the predictor before both."""

from __future__ import annotations

import gc
import hashlib
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from daemon.config.head import NcmHead
from daemon.config.task import Model
from daemon.config.tune import LastLayersTune, LoraTune
from daemon.errors import VersionCorrupt, VersionError
from daemon.events import Input
from daemon.heads import get_head
from daemon.heads import store as head_store
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tuned import TunedModel, save_tuned, write_base_version
from daemon.models.tuning import apply_tuning
from daemon.registry.version import Version, VersionMeta
from daemon.serving.loading import Precision, load_served
from daemon.serving.predictor import Predictor
from daemon.serving.served import ServedModel
from daemon.tasks import get_task
from daemon.tasks.schema import get_schema, input_key

CPU = torch.device("cpu")
LEARNT = [
    ("my card was swallowed by the machine abroad", "card_swallowed"),
    ("the ATM kept my card", "card_swallowed"),
    ("I cannot find my card anywhere", "card_lost"),
    ("I think I dropped my card on the bus", "card_lost"),
    ("how long does a transfer take", "transfer_time"),
    ("when will my transfer arrive", "transfer_time"),
]
ASKED = [
    ("the cash machine ate my card", "card_swallowed"),
    ("I have lost my card", "card_lost"),
    ("how many days until my transfer is there", "transfer_time"),
]


def described(version: str, path: Path, meta: VersionMeta) -> Version:
    """The manifest, as the registry makes it."""
    found = [file for file in path.rglob("*") if file.is_file()]
    hashes = {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}
    return Version(version, 0.0, meta, hashes, path)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Version:
    path = tmp_path_factory.mktemp("registry") / "000001"
    files = resolve_base(Model())
    write_base_version(files, "sequence", path)
    meta = VersionMeta("support", "sequence", files.name, files.sha256, 128)
    return described("000001", path, meta)


@pytest.fixture(scope="module")
def model(base: Version) -> ServedModel:
    return load_served(base, None, CPU)


@pytest.fixture(scope="module")
def heads(model: ServedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head that has folded LEARNT, one label a change."""
    directory = tmp_path_factory.mktemp("heads")
    kind, schema = get_head("ncm"), get_schema("sequence")
    assert kind is not None
    state = kind.new(NcmHead().model_dump(mode="json"))
    features = model.features([Input(text=words) for words, _ in LEARNT], state.layers)
    for seq, ((words, label), row) in enumerate(zip(LEARNT, features, strict=True), 1):
        state.add(input_key(schema, Input(text=words)), f"e{seq}", label, row)
        state.advance(seq)
    head_store.save_state(directory, state)
    head_store.save_weights(directory, state.weights(), 0.5)
    return directory


def test_a_base_version_answers_that_it_knows_nothing(model: ServedModel) -> None:
    # Given a base version loaded from disk
    # When it is asked
    (answer,) = model.answer([Input(text="hello")], 5)
    # Then it says so
    assert answer == {"label": None, "reason": "no_labels_yet", "version": "000001", "labels_seen": 0}


def test_two_examples_a_class_are_enough_to_answer(base: Version, heads: Path) -> None:
    # Given the version with the head that lies beside it
    model = load_served(base, heads, CPU)
    # When it is asked in other words
    answers = model.answer([Input(text=words) for words, _ in ASKED], 3)
    # Then it knows
    assert [answer["label"] for answer in answers] == [label for _, label in ASKED]
    assert {answer["labels_seen"] for answer in answers} == {len(LEARNT)}
    # And a label counts in the very next weights
    state = head_store.load_state(heads)
    text = Input(text="do you have jobs for engineers")
    state.add(input_key(get_schema("sequence"), text), "new", "careers", model.features([text])[0])
    state.advance(7)
    (answer,) = model.with_weights(state.weights(), 0.5).answer([Input(text="are you hiring developers")], 3)
    assert (answer["label"], answer["labels_seen"]) == ("careers", 7)


def test_features_do_not_depend_on_the_batch(model: ServedModel) -> None:
    # Given texts of different lengths
    inputs = [Input(text=words) for words, _ in (*LEARNT, *ASKED)]
    # When they are encoded alone and together
    alone = np.concatenate([model.features([value], 3) for value in inputs])
    together = model.features(inputs, 3)
    # Then the features are the same, of length 1
    assert together.shape == (len(inputs), 3 * 384)
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_a_restart_answers_as_before(base: Version, heads: Path, model: ServedModel) -> None:
    # Given what answered before
    before = model.with_weights(*head_store.load_weights(heads)).answer([Input(text=words) for words, _ in ASKED], 3)
    # When everything is loaded again
    after = load_served(base, heads, CPU).answer([Input(text=words) for words, _ in ASKED], 3)
    # Then the answers are the same
    for one, other in zip(before, after, strict=True):
        assert other["scores"] == pytest.approx(one["scores"], abs=1e-5)


def test_a_damaged_version_is_not_served(base: Version, tmp_path: Path) -> None:
    # Given a copy with one byte changed, and one on another base
    path = tmp_path / "000002"
    shutil.copytree(base.path, path)
    file = path / "tokenizer" / "tokenizer.json"
    file.write_bytes(file.read_bytes().replace(b"the", b"teh", 1))
    # Then neither is served
    with pytest.raises(VersionCorrupt, match=r"tokenizer\.json has SHA-256"):
        load_served(replace(base, path=path), None, CPU)
    with pytest.raises(VersionCorrupt, match="stands on"):
        load_served(replace(base, meta=replace(base.meta, base_sha256="0" * 64)), None, CPU)
    with pytest.raises(VersionError, match="no such directory"):
        load_served(replace(base, meta=replace(base.meta, base="./nowhere")), None, CPU)


def test_the_predictor_answers_and_lets_go(base: Version, heads: Path) -> None:
    # Given a predictor with the real model
    predictor = Predictor(4096, 64)
    predictor.swap("support", load_served(base, heads, CPU))
    futures = [predictor.submit("support", [Input(text=words)], 3) for words, _ in ASKED * 3]
    assert [future.result(30)[0]["label"] for future in futures] == [label for _, label in ASKED * 3]
    served = predictor.current("support")
    assert isinstance(served, ServedModel)
    gone = weakref.ref(served.model)
    del served
    # When another takes its place and has answered
    predictor.swap("support", load_served(base, heads, CPU))
    predictor.submit("support", [Input(text="hello")]).result(30)
    predictor.close(10)
    # Then the encoder of the old one is gone
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("tune", [LoraTune(rank=4), LastLayersTune(layers=1)], ids=["lora", "last_layers"])
def test_a_tuned_version_answers_with_both_heads(tune: LoraTune | LastLayersTune, tmp_path: Path) -> None:
    # Given a version with moved weights and a head for two classes, and a fast head that knows a third
    files, labels = resolve_base(Model()), ("card_lost", "card_swallowed")
    task = get_task("sequence")
    encoder = Encoder.load(files, CPU)
    apply_tuning(encoder, tune, 0)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01 * torch.randn_like(parameter))
    tuned = TunedModel(encoder, task.build_head(384, labels, None, 0), labels, task).eval()
    save_tuned(tuned, tune, tmp_path / "000002")
    meta = VersionMeta("support", "sequence", files.name, files.sha256, 128, "000001", 3, tune.model_dump(mode="json"))
    version = described("000002", tmp_path / "000002", meta)
    # When it is loaded and asked
    model = load_served(version, None, CPU)
    inputs = [Input(text=words) for words, _ in ASKED]
    answers = model.answers(model.encode(inputs))
    # Then it answers as what was saved
    with torch.inference_mode():
        expected = task.activate(tuned(model.encode(inputs)))
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert model.labels_seen == 3
    # And with a fast head it knows the third class too, in probabilities that sum to 1
    state = NcmHead().model_dump(mode="json")
    head = get_head("ncm")
    assert head is not None
    fast = head.new(state)
    for number, ((words, label), row) in enumerate(
        zip(LEARNT, model.features([Input(text=words) for words, _ in LEARNT], fast.layers), strict=True)
    ):
        fast.add(input_key(get_schema("sequence"), Input(text=words)), f"e{number}", label, row)
    both = model.with_weights(fast.weights(), 0.5)
    assert both.labels == (*labels, "transfer_time")
    assert both.answer(inputs, 3)[2]["label"] == "transfer_time"
    np.testing.assert_allclose(both.answers(both.encode(inputs)).sum(axis=1), 1, atol=1e-6)
    # And nothing holds it once it is out of use, without waiting for the collector of cycles
    gone = weakref.ref(model.model.encoder)
    gc.collect()
    gc.disable()
    try:
        del model, both
        assert gone() is None
    finally:
        gc.enable()


def test_int8_answers_like_fp32_where_it_is_sure_and_exactly_so_where_it_is_not(base: Version, heads: Path) -> None:
    # Given the same version in both precisions
    texts = [Input(text=words) for words, _ in LEARNT + ASKED] + [
        Input(text=f"transfer of card {i}") for i in range(40)
    ]
    exact = load_served(base, heads, CPU)
    quick = load_served(base, heads, CPU, Precision(int8=True, recheck_odds=1.5))
    expected, found = exact.answers(exact.encode(texts)), quick.answers(quick.encode(texts))
    # Then the labels agree, and close calls have the very numbers of fp32
    assert (expected.argmax(1) == found.argmax(1)).mean() >= 0.99
    top = np.sort(
        load_served(base, heads, CPU, Precision(int8=True, recheck_odds=1)).answers(exact.encode(texts)), axis=1
    )
    close = top[:, -1] < 1.5 * top[:, -2]
    assert 0 < close.sum() < len(texts)
    np.testing.assert_allclose(found[close], expected[close], atol=1e-5)
    assert not np.allclose(found[~close], expected[~close], atol=1e-5)
    # And an answer does not depend on the batch it came in
    alone = np.concatenate([quick.answers(quick.encode([text])) for text in texts])
    np.testing.assert_allclose(found, alone, atol=1e-5)
