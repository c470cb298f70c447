"""``stream.inputs[].decoder``: what cannot work is refused at start, with key, value and position."""

from __future__ import annotations

import pytest

from daemon.config.expression import compile_expression, plain_path, reads_record
from daemon.config.load import Loaded, load
from daemon.errors import ConfigError

KEY = "stream.inputs.0.decoder"


def loaded(decoder: str, *sets: str) -> Loaded:
    return load(None, ["tasks.support={}", f"stream.inputs=[{{topic: t, decoder: {{{decoder}}}}}]", *sets], {})


def test_a_mapped_decoder_is_kept_as_it_was_written_with_its_origins() -> None:
    # Given a field by a path and one by a mapping
    found = loaded("kind: mapped, id: ticket.id, time: {path: created_ms, format: epoch_ms}, text: body")
    # Then each value and its origin stand under the key that was written
    assert found.provenance[f"{KEY}.id"] == "--set"
    assert found.provenance[f"{KEY}.time.format"] == "--set"
    assert found.provenance[f"{KEY}.null_label"] == "default"
    assert found.config.stream.inputs[0].decoder.model_dump(exclude_defaults=True) == {
        "kind": "mapped",
        "id": "ticket.id",
        "time": {"path": "created_ms", "format": "epoch_ms"},
        "text": "body",
    }


@pytest.mark.parametrize(
    ("decoder", "says"),
    [
        ("kind: avro", f"{KEY} = {{'kind': 'avro'}} (--set): kind must be one of: json, cloudevents, mapped"),
        ("kind: json, id: a", f"{KEY}.id (--set): unknown key"),
        ("kind: mapped", f"{KEY}.id: is required"),
        ("kind: mapped, id: 7", f"{KEY}.id = 7 (--set): must be text (put it in quotes)"),
        ("kind: mapped, id: ''", f"{KEY}.id = '' (--set): is empty; write a JMESPath expression"),
        ("kind: mapped, id: a..b", f"{KEY}.id = 'a..b' (--set): is not JMESPath: at character 3"),
        ("kind: mapped, id: 'join('", "'join(' (--set): is not JMESPath: it ends too early, at character 6"),
        ("kind: mapped, id: a-b", f"{KEY}.id = 'a-b' (--set): is not JMESPath: at character 2"),
        ("kind: mapped, id: 'a || lenght(b)'", "(--set): at character 6: no function lenght(); did you mean length()?"),
        ("kind: mapped, id: 'qqq(b)'", "at character 1: no function qqq(); there are: abs, avg"),
        ("kind: mapped, id: 'join(a)'", "at character 1: join() takes 2 arguments, not 1"),
        ("kind: mapped, id: 'length(a, b)'", "at character 1: length() takes 1 arguments, not 2"),
        ("kind: mapped, id: 'merge()'", "at character 1: merge() takes at least 1 arguments, not 0"),
        ("kind: mapped, id: {path: 'a b'}", f"{KEY}.id.path = 'a b' (--set): is not JMESPath: at character 3"),
        ("kind: mapped, id: {coerce: string}", f"{KEY}.id.path: is required"),
        ("kind: mapped, id: {path: a, coerce: text}", f"{KEY}.id.coerce = 'text' (--set): allowed: string"),
        ("kind: mapped, id: a, time: {path: b, format: ms}", f"{KEY}.time.format = 'ms' (--set): allowed: rfc3339"),
        ("kind: mapped, id: a, attributes: {r: '['}", f"{KEY}.attributes.r = '[' (--set): is not JMESPath"),
        ("kind: mapped, id: a, constants: {taks: support}", "constants.taks (--set): unknown key; did you mean task?"),
        ("kind: mapped, id: a, constants: {task: sales}", f"{KEY}.constants.task = 'sales' (--set): is not configured"),
        ("kind: mapped, id: a, text: b", f"{KEY}.time = None: an event with an input needs a time"),
        ("kind: mapped, id: a, label: b, constants: {label: x}", "constants.label = 'x' (--set): label has a path"),
        (
            "kind: mapped, id: a, attributes: {r: b}, constants: {attributes: {r: c}}",
            f"{KEY}.constants.attributes.r = 'c' (--set): has a path too",
        ),
        ("kind: mapped, id: a, null_label: retract", "null_label = 'retract' (--set): needs a label that"),
        ("kind: mapped, id: a, label: 'b || c', null_label: retract", f"{KEY}.null_label = 'retract' (--set): needs"),
        ("kind: cloudevents, task_names: {a: support}", "task_from must say of which attribute"),
        ("kind: cloudevents, task_from: type, task_names: {a: b}", "task_names.a = 'b' (--set): is not configured"),
        ("kind: cloudevents, task_from: topic", "task_from = 'topic' (--set): allowed: data, type"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(decoder: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(decoder)
    assert says in str(caught.value)


def test_a_mapped_decoder_must_say_the_task_while_there_are_several() -> None:
    with pytest.raises(ConfigError, match="2 tasks are configured; give its path, or constants"):
        loaded("kind: mapped, id: a", "tasks.sales={}")
    assert loaded("kind: mapped, id: a, constants: {task: support}", "tasks.sales={}")


def test_half_a_surrogate_pair_in_a_literal_is_refused() -> None:
    for text in ('`"\\ud800"`', 'a || `[{"\\ud800": 1}]`'):
        with pytest.raises(ValueError, match="surrogate"):
            compile_expression(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        compile_expression("(" * 5000 + "a" + ")" * 5000)


def test_expressions_say_what_they_look_at() -> None:
    assert plain_path(compile_expression('a.b."c d"')) == ("a", "b", "c d")
    assert plain_path(compile_expression("a")) == ("a",)
    assert [plain_path(compile_expression(text)) for text in ("a.b[0]", "a || b", "a.{x: b}", "a | b", "@")] == [
        None
    ] * 5
    assert reads_record(compile_expression("join('', [_record.key, a])"))
    assert not reads_record(compile_expression("record.key"))
