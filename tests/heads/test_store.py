"""Heads on disk: whole or not at all, and readable while they are replaced."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import orjson
import pytest

from daemon.errors import UnsafeFile, VersionCorrupt, VersionIncomplete
from daemon.heads import store
from daemon.heads.ncm import NcmState, NcmWeights
from tests.heads.contract import features, key


def weights(cursor: int, classes: int = 3) -> NcmWeights:
    """Means that tell their cursor."""
    means = np.full((classes, 4), cursor, np.float32)
    return NcmWeights(cursor, tuple(f"c{i}" for i in range(classes)), means, 20.0, 3)


def state(cursor: int) -> NcmState:
    made = NcmState(20.0, 3)
    made.add(key(1), "e1", "lost", features(1))
    made.advance(cursor)
    return made


def test_nothing_saved_is_said_so(tmp_path: Path) -> None:
    # Given a directory where nothing was saved
    # Then looking says so, and loading is refused by name
    assert store.state_cursor(tmp_path / "no") is None
    assert store.weights_cursor(tmp_path / "no") is None
    assert store.weights_stamp(tmp_path / "no") is None
    with pytest.raises(VersionIncomplete, match=r"no state\.json"):
        store.load_state(tmp_path)
    with pytest.raises(VersionIncomplete, match=r"no weights\.json"):
        store.load_weights(tmp_path)


def test_the_newest_counts_and_the_old_are_gone(tmp_path: Path) -> None:
    # Given states and weights saved one after another, and what a crash left behind
    (tmp_path / ".weights-000000000001-aaaaaaaaaaaa.safetensors.tmp").write_bytes(b"half")
    for cursor in (1, 2, 3):
        store.save_weights(tmp_path, weights(cursor), 0.5)
        store.save_state(tmp_path, state(cursor))
    # Then the last ones count, and only their files are there
    assert store.load_weights(tmp_path)[0].cursor == 3
    assert store.state_cursor(tmp_path) == store.weights_cursor(tmp_path) == 3
    pointers = [store.read_pointer(tmp_path, what) for what in ("state", "weights")]
    expected = {"state.json", "weights.json", *(p.file for p in pointers if p)}
    assert {path.name for path in tmp_path.iterdir()} == expected


def test_the_stamp_changes_with_each_save(tmp_path: Path) -> None:
    # Given weights saved
    store.save_weights(tmp_path, weights(1), 0.5)
    before = store.weights_stamp(tmp_path)
    assert before == store.weights_stamp(tmp_path)
    # When they are saved again with another blend
    store.save_weights(tmp_path, weights(1), 0.75)
    # Then the stamp differs, and the blend is the new one
    assert store.weights_stamp(tmp_path) != before
    assert store.load_weights(tmp_path)[1] == 0.75


def test_weights_never_go_back(tmp_path: Path) -> None:
    # Given weights that have seen change 10
    assert store.save_weights(tmp_path, weights(10), 0.5)
    # When a learner that catches up saves those of change 4
    assert not store.save_weights(tmp_path, weights(4), 0.5)
    # Then the newer ones count
    assert store.load_weights(tmp_path)[0].cursor == 10
    # And a broken pointer does not stand in the way of a whole one
    (tmp_path / "weights.json").write_text("{")
    assert store.save_weights(tmp_path, weights(4), 0.5)
    assert store.load_weights(tmp_path)[0].cursor == 4


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    # Given saved weights of which one bit changes
    store.save_weights(tmp_path, weights(1), 0.5)
    (file,) = tmp_path.glob("weights-*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    # Then loading is refused
    with pytest.raises(VersionCorrupt, match="SHA-256"):
        store.load_weights(tmp_path)
    # And so it is when the file is gone
    file.unlink()
    with pytest.raises(VersionCorrupt, match="no such file"):
        store.load_weights(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"file": 1}', "null"])
def test_a_broken_pointer_is_said_so(text: str, tmp_path: Path) -> None:
    # Given a pointer that is not one
    (tmp_path / "weights.json").write_text(text)
    # Then loading is refused by name
    with pytest.raises(VersionCorrupt, match=r"weights\.json: not a pointer"):
        store.load_weights(tmp_path)


@pytest.mark.parametrize("file", ["../weights-000000000001-aaaaaaaaaaaa.safetensors", "weights.pkl", "/etc/passwd"])
def test_a_pointer_names_a_file_beside_it(file: str, tmp_path: Path) -> None:
    # Given a pointer that names something else
    store.save_weights(tmp_path, weights(1), 0.5)
    pointer = orjson.loads((tmp_path / "weights.json").read_bytes())
    (tmp_path / "weights.json").write_bytes(orjson.dumps({**pointer, "file": file}))
    # Then it is not followed
    with pytest.raises(UnsafeFile, match="allowed"):
        store.load_weights(tmp_path)


def test_weights_are_not_a_state(tmp_path: Path) -> None:
    # Given weights, and a pointer that says that they are a state
    store.save_weights(tmp_path, weights(1), 0.5)
    pointer = store.read_pointer(tmp_path, "weights")
    assert pointer is not None
    renamed = pointer.file.replace("weights", "state")
    (tmp_path / pointer.file).rename(tmp_path / renamed)
    said = orjson.loads((tmp_path / "weights.json").read_bytes())
    (tmp_path / "state.json").write_bytes(orjson.dumps({**said, "file": renamed}))
    # Then it does not load
    with pytest.raises(VersionCorrupt, match="does not fit together"):
        store.load_state(tmp_path)


def test_reading_while_replacing_never_fails(tmp_path: Path) -> None:
    # Given a writer that replaces the weights without rest
    store.save_weights(tmp_path, weights(1), 0.5)
    done = threading.Event()

    def write() -> None:
        for cursor in range(2, 400):
            store.save_weights(tmp_path, weights(cursor), 0.5)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    # When others read all the time
    seen = []
    while not done.is_set():
        loaded, _ = store.load_weights(tmp_path)
        assert (loaded.tensors()["means"] == loaded.cursor).all()
        seen.append(loaded.cursor)
    writer.join()
    # Then each reading is one whole save, and they never go back
    assert len(seen) > 20
    assert seen == sorted(seen)


def test_reading_heads_needs_no_torch() -> None:
    # Given a fresh interpreter
    code = "import sys, daemon.heads.store, daemon.heads.blend; assert 'torch' not in sys.modules"
    # When the store is imported
    # Then torch is not
    subprocess.run([sys.executable, "-c", code], check=True)
