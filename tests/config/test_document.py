"""YAML is read safely, and every leaf knows its line."""

from __future__ import annotations

import pytest

from daemon.config.document import Given, plain, read_document, read_value
from daemon.errors import ConfigError


def test_only_what_looks_like_it_is_a_boolean_a_number_or_nothing() -> None:
    # Given the words that YAML 1.1 would make booleans, dates, octal and sexagesimal numbers of
    tree = read_document(
        "a: [no, yes, on, true]\nb: [2026-11-24, 010, 1:30, 1_000]\n"
        "c: [1, -2, 1e-3, .5, 2.]\nd: [~, null, ]\ne: 'null'\n",
        "f",
    )
    # Then labels stay text
    assert plain(tree) == {
        "a": ["no", "yes", "on", True],
        "b": ["2026-11-24", "010", "1:30", "1_000"],
        "c": [1, -2, 0.001, 0.5, 2.0],
        "d": [None, None],
        "e": "null",
    }


def test_each_leaf_knows_its_line_and_key() -> None:
    tree = read_document("a:\n  b: 1\n  c:\n    - x\n", "config.yaml")
    assert isinstance(tree["a"], dict)
    assert tree["a"]["b"] == Given(1, "config.yaml:2", "a.b")
    items = tree["a"]["c"]
    assert isinstance(items, Given)
    assert items.value == [Given("x", "config.yaml:4", "a.c.0")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "config.yaml:3: a is given twice; it stands in line 1 already"),
        ("a:\n  b: 1\n  b: 1\n", "config.yaml:3: a.b is given twice; it stands in line 2 already"),
        ("a: !!python/object/apply:os.system [x]\n", "is not allowed; write plain YAML"),
        ("a: !!python/name:os.system x\n", "is not allowed; write plain YAML"),
        ("a: [1\n", "config.yaml:2: not valid YAML"),
        ("- a\n", "config.yaml: must be a mapping of keys, not"),
        ("? [a]\n: 1\n", "config.yaml:1: a key must be text"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
        ("a: !!int x\n", "config.yaml:1: a = 'x': does not fit its tag"),
        ("a: !!map x\n", "config.yaml:1: a = 'x': does not fit its tag"),
        ("a: &x [*x]\n", "config.yaml: an anchor refers to itself"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_document(text, "config.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("", None), ("[a, b]", ["a", "b"]), ("{k: 1}", {"k": 1}), ("1e-4", 0.0001)]
)
def test_a_value_of_the_command_line_is_yaml(text: str, value: object) -> None:
    assert plain(read_value(text, "--set", "k")) == value
