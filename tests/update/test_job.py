"""The format of a job: events come back as they went in, and damage is seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import TrainingError
from daemon.events import Input, LabelValue, Split, StoredEvent
from daemon.update.job import JobResult, UpdateJob, read_job, read_result, read_rows, write_job, write_result

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
LABEL: st.SearchStrategy[LabelValue | None] = st.one_of(
    st.none(), TEXT, FLOAT, st.lists(TEXT, max_size=3).map(lambda found: tuple(found))
)
INPUT = st.one_of(
    st.builds(Input, text=TEXT, text_pair=st.none() | TEXT),
    st.builds(Input, tokens=st.lists(TEXT, max_size=3).map(lambda found: tuple(found))),
)
EVENT = st.builds(
    StoredEvent,
    id=TEXT,
    task=TEXT,
    time=FLOAT,
    input=INPUT,
    key=st.binary(min_size=16, max_size=16),
    split=st.sampled_from(Split),
    label=LABEL,
    label_time=st.none() | FLOAT,
    source=TEXT,
    attributes=st.dictionaries(TEXT, TEXT, max_size=2),
    seq=st.integers(0, 2**53),
    revision=st.integers(0, 1000),
)
JOB = UpdateJob("000007", "support", "000001", 9, ("b", "a"), 1, 3, 1.5, {"type": "sequence"}, "count")


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    made = tmp_path / "parent"
    (made / "tokenizer").mkdir(parents=True)
    (made / "labels.json").write_text('["b"]')
    (made / "tokenizer" / "tokenizer.json").write_text("{}")
    return made


def event(number: int) -> StoredEvent:
    return StoredEvent(f"e{number}", "support", 0.0, Input(text="hello"), b"k" * 16, Split.TRAIN, "a", seq=number)


@given(events=st.lists(EVENT, max_size=4))
def test_events_come_back_as_they_went(tmp_path_factory: pytest.TempPathFactory, events: list[StoredEvent]) -> None:
    root = tmp_path_factory.mktemp("job")
    (root / "parent").mkdir()
    write_job(root / "000007", JOB, {"pool": events}, root / "parent", None)
    assert read_rows(root / "000007", "pool") == events
    assert read_rows(root / "000007", "new") == []


def test_a_job_comes_back_with_its_counts_and_hashes(tmp_path: Path, parent: Path) -> None:
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast" / "state.json").write_text("{}")
    made = write_job(tmp_path / "000007", JOB, {"new": [event(1), event(2)]}, parent, tmp_path / "fast")
    assert read_job(tmp_path / "000007") == made
    assert made.counts == {"new": 2, "pool": 0, "validation": 0, "holdout": 0, "refit": 0}
    assert {"new.jsonl", "parent/tokenizer/tokenizer.json", "fast/state.json"} <= set(made.files)
    # And the parent costs no second copy
    assert (tmp_path / "000007" / "parent" / "labels.json").stat().st_nlink == 2


@pytest.mark.parametrize("name", ["new.jsonl", "parent/labels.json"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_job_whose_files_differ_is_not_trained(tmp_path: Path, parent: Path, name: str, gone: bool) -> None:
    write_job(tmp_path / "000007", JOB, {"new": [event(1)]}, parent, None)
    path = tmp_path / "000007" / name
    path.unlink()
    if not gone:
        path.write_text("something else")
    with pytest.raises(TrainingError, match="missing or not what"):
        read_job(tmp_path / "000007")
    assert read_job(tmp_path / "000007", verify=False).id == "000007"


def test_a_crash_while_freezing_leaves_no_job(tmp_path: Path, parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    for step in range(100):
        # Given a process that ends at its ``step``-th call to the disk
        left = [step]
        with monkeypatch.context() as patch:
            for name in ("fsync", "replace", "link"):

                def run(
                    *args: object, call: object = getattr(os, name), left: list[int] = left, **keys: object
                ) -> None:
                    if left[0] == 0:
                        raise Killed
                    left[0] -= 1
                    call(*args, **keys)  # type: ignore[operator]

                patch.setattr(os, name, run)
            try:
                write_job(tmp_path / "000007", JOB, {"new": [event(1)]}, parent, None)
            except Killed:
                # Then there is no job, or a whole one
                if (tmp_path / "000007").exists():
                    assert read_job(tmp_path / "000007").counts["new"] == 1
                    break
                continue
            break
    assert step > 8
    assert read_job(tmp_path / "000007").labels == ("b", "a")


def test_a_manifest_torn_at_any_byte_is_not_a_job(tmp_path: Path, parent: Path) -> None:
    write_job(tmp_path / "000007", JOB, {}, parent, None)
    manifest = tmp_path / "000007" / "job.json"
    whole = manifest.read_bytes()
    for size in range(len(whole)):
        manifest.write_bytes(whole[:size])
        with pytest.raises(TrainingError, match="is not a job"):
            read_job(tmp_path / "000007")


def test_a_result_comes_back_and_a_torn_one_does_not_count(tmp_path: Path) -> None:
    result = JobResult("000007", 1, "accuracy", 0.25, ("a", "", "b"), ("c",), {"loss": 0.5})
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result
    path = tmp_path / "result.json"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(TrainingError, match="is not a result"):
            read_result(tmp_path)
