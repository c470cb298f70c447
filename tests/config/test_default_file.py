"""config.yaml is complete and says the defaults; the reference and the models say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from daemon.config.document import Given, Node, read_document
from daemon.config.kafka import Ssl
from daemon.config.load import load
from daemon.config.models import Config
from daemon.config.reference import generate
from daemon.config.secrets import SECRET_KEYS
from daemon.config.walk import every_key, keys_at, models_at, sections_of

ROOT = Path(__file__).parents[2]
FILE = ROOT / "config.yaml"
LEFT_OUT = {
    "http.token",
    "stream.kafka.sasl",
    "stream.kafka.instance_id",
    "tasks.support.labels.descriptions",
    *(f"stream.kafka.ssl.{name}" for name in Ssl.model_fields if name != "check_hostname"),
}
"""What has no default that could stand in the file."""


def test_it_loads_and_says_exactly_the_defaults() -> None:
    loaded = load(FILE, [], {})
    assert loaded.config == load(None, ["tasks.support={}"], {}).config
    assert [key for key, origin in loaded.provenance.items() if origin == "default" and key not in LEFT_OUT] == []


def test_every_key_of_the_models_stands_in_it_as_a_setting_or_a_comment() -> None:
    # Given what is set in the file, and what is only mentioned there
    text = FILE.read_text()
    written = set(_paths(read_document(text, "config.yaml")))
    mentioned = set(re.findall(r"#\s*(\w+):", text))
    # When the models are walked (a task's keys stand in defaults, list entries under *)
    missing = [
        key
        for key in every_key()
        if (("defaults", *key[2:]) if key[0] == "tasks" else key) not in written
        and key[-1] not in mentioned
        and ".".join(key) not in SECRET_KEYS
    ]
    # Then none is missing
    assert missing == []


def _paths(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        for key, below in node.items():
            yield from _paths(below, (*path, key))
        return
    yield path
    if isinstance(node.value, list):
        for item in node.value:
            if isinstance(item, dict | Given):
                yield from _paths(item, (*path, "*"))


def test_the_reference_is_in_step_with_the_models() -> None:
    assert (ROOT / "docs/reference/config.md").read_text() == generate()


def test_every_key_of_the_reference_says_what_it_means() -> None:
    rows = [line for line in generate().splitlines() if line.startswith("| `")]
    assert len(rows) > 90
    assert [row for row in rows if re.search(r"\|\s*\|$", row)] == []


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ([], "defaults"),
        (["tasks", "any"], "gate"),
        (["defaults", "gate"], "min_rows"),
        (["tasks", "any", "tune"], "rank"),
        (["stream", "inputs", "0"], "topic"),
        (["stream", "inputs", "0", "decoder"], "kind"),
    ],
)
def test_keys_are_found_by_path(path: list[str], keys: str) -> None:
    assert keys in keys_at(path)
    assert models_at(["http", "port"]) == ()
    assert models_at(["no", "such"]) == ()


def test_units_stand_in_the_names() -> None:
    # A float that is a share or a time says so in its name, and a count of bytes too
    names = {key[-1] for key in every_key()}
    assert not {name for name in names if name.endswith(("_ms", "_seconds", "_mb", "_percent", "timeout", "_share"))}


def test_every_section_refuses_what_it_does_not_know() -> None:
    def walk(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        yield model
        for field in model.model_fields.values():
            for inner in sections_of(field.annotation)[0]:
                yield from walk(inner)

    open_sections = {model.__name__ for model in walk(Config) if model.model_config.get("extra") != "forbid"}
    assert open_sections == {"StrategyRef"}
