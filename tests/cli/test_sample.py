"""``check-config --sample``: what becomes of sample records, as ingest would have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.sample import decode_file, table
from daemon.config.load import load
from daemon.config.models import Config
from daemon.errors import ConfigError
from tests.cli.run import document, retaind

EVENT = {"id": "t1", "time": "2026-11-23T10:00:00Z", "text": "my card is lost", "label": "card_lost"}
MAPPED = (
    "{kind: mapped, id: {path: number, coerce: string}, text: body, time: {path: ms, format: epoch_ms},"
    " label: category, source: _record.headers.by, group: _record.key}"
)
TICKET = {"number": 7, "body": "lost", "ms": 1_700_000_000_000, "category": "card_lost"}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return tmp_path / "sample.jsonl"


def config(*sets: str) -> Config:
    return load(None, ["tasks={support: {}}", *sets], {}).config


def mapped(*sets: str) -> Config:
    return config(f"stream.inputs=[{{topic: tickets, decoder: {MAPPED}}}]", *sets)


def rows(config: Config, sample: Path, *lines: Any) -> list[dict[str, Any]]:
    sample.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return [dict(row.document()) for row in decode_file(config, sample, None)]


def test_each_record_is_an_event_or_a_dead_letter_with_its_reason(tmp_path: Path) -> None:
    # Given an event, a line that is not JSON, and an event of a task that is not configured
    (tmp_path / "config.yaml").write_text("tasks: {support: {}}\n")
    lines = [json.dumps(EVENT), "not json", json.dumps({**EVENT, "task": "sales"})]
    (tmp_path / "sample.jsonl").write_text("\n".join(lines) + "\n")
    # When they are checked
    result = retaind("check-config", "--json", "--sample", "sample.jsonl", cwd=tmp_path)
    # Then the first is an event of the only task and the others are dead letters with a reason
    found = document(result)["sample"]
    assert result.returncode == 1
    assert [row["outcome"] for row in found] == ["event", "dead_letter", "dead_letter"]
    assert found[0]["event"] == {**EVENT, "task": "support"}
    assert [row["reason"] for row in found[1:]] == ["not_json", "unknown_task"]
    # And as text, the same in a table
    text = retaind("check-config", "--sample", "sample.jsonl", cwd=tmp_path).stdout.splitlines()
    assert text[1].split() == ["line", "outcome", "reason", "event", "or", "what", "is", "wrong"]
    assert text[3].startswith("2     dead letter  not_json            not JSON: ")
    assert text[-1] == "1 of 3 records are events, 2 would be dead letters"


def test_a_topic_that_is_not_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tasks: {support: {}}\n")
    (tmp_path / "sample.jsonl").write_text(json.dumps(EVENT) + "\n")
    result = retaind("check-config", "--sample", "sample.jsonl", "--topic", "nope", cwd=tmp_path)
    assert result.returncode == 2
    assert "stream.inputs has: retaind.labelled, retaind.requests" in result.stderr


def test_a_users_schema_is_shown_as_the_event_it_becomes(sample: Path) -> None:
    # Given bare values and records with key and headers, the value once as text
    record = {"key": "k", "headers": {"by": "agent"}, "value": TICKET}
    as_text = {**record, "value": json.dumps(TICKET)}
    broken = {"key": "k", "value": {**TICKET, "number": None}}
    # When they are decoded
    found = rows(mapped(), sample, TICKET, record, as_text, broken, {"key": None, "value": None})
    # Then each shows what it becomes
    event = {"id": "7", "task": "support", "time": "2023-11-14T22:13:20Z", "text": "lost", "label": "card_lost"}
    assert found[0]["event"] == event
    assert found[1]["event"] == found[2]["event"] == {**event, "source": "agent", "group": "k"}
    assert [row["reason"] for row in found[3:]] == ["missing_field", "no_value"]
    assert "id (number): gives null" in found[3]["message"]


def test_binary_cloudevents_are_shown(sample: Path) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "e1", "ce_source": "/crm", "ce_type": "ticket"}
    record = {"headers": {**headers, "ce_time": EVENT["time"]}, "value": {"text": "lost", "label": "x"}}
    found = rows(config("stream.inputs=[{topic: t, decoder: {kind: cloudevents}}]"), sample, record)
    assert found[0]["event"] == {"id": "e1", "task": "support", "time": EVENT["time"], "text": "lost", "label": "x"}


def test_a_value_that_looks_like_a_record_but_has_more_is_a_value(sample: Path) -> None:
    cfg = config(
        "stream.inputs=[{topic: t, decoder: {kind: mapped, id: key, label: value, constants: {task: support}}}]"
    )
    found = rows(cfg, sample, {"key": "a", "value": "x", "more": 1})
    assert found[0]["event"] == {"id": "a", "task": "support", "label": "x"}


def test_labels_and_sizes_are_bounded_as_in_ingest(sample: Path) -> None:
    # Given a closed label set and a small limit
    closed = "tasks={support: {labels: {mode: closed, known: [card_lost]}}}"
    limited = config(closed, "stream.max_record_bytes=1024")
    # When a label is none of them, and a record is too large
    found = rows(limited, sample, EVENT, {**EVENT, "label": "typo"}, {**EVENT, "text": "x" * 2000})
    # Then both are dead letters
    assert [row.get("reason") for row in found] == [None, "unknown_label", "too_large"]
    # And a label set that may grow does so within its bound
    two = config("tasks={support: {labels: {max_labels: 2}}}")
    found = rows(two, sample, *({**EVENT, "id": name, "label": name} for name in ("a", "b", "c")))
    assert [row.get("reason") for row in found] == [None, None, "too_many_labels"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"key": 7, "value": {}}, "line 1: key must be text"),
        ({"headers": ["a"], "value": {}}, "line 1: headers must be"),
        ({"headers": {"a": 1}, "value": {}}, "line 1: headers must be"),
        ({"timestamp": "now", "value": {}}, "line 1: timestamp must be seconds"),
    ],
)
def test_a_malformed_record_of_the_sample_is_named(sample: Path, line: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        rows(config(), sample, line)


def test_an_empty_sample_has_only_its_heads(sample: Path) -> None:
    sample.write_text("")
    assert len(table(decode_file(config(), sample, None))) == 1
