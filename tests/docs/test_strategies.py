"""The pages about strategies: the how-to is carried out, the reference names every option."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from daemon.config.task import TaskConfig
from strategies import catalog
from strategies.base import BaseStrategy
from strategies.policies.registry import POLICIES

DOCS = Path(__file__).parents[2] / "docs"
HOW_TO = (DOCS / "how-to" / "write-a-strategy.md").read_text()
REFERENCE = (DOCS / "reference" / "strategies.md").read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The how-to's package on the path, with the metadata that an installer writes."""
    (tmp_path / "my_package").mkdir()
    for language, code in FENCE.findall(HOW_TO):
        if language == "python":
            (tmp_path / code.splitlines()[0].removeprefix("# ")).write_text(code)
    ((name, target),) = re.findall(r'^(\w+) = "(.+)"$', HOW_TO, re.MULTILINE)
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{catalog.GROUP}]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalog._plugins.cache_clear()
    yield tmp_path
    catalog._plugins.cache_clear()
    for module in [module for module in sys.modules if module.partition(".")[0] == "my_package"]:
        del sys.modules[module]


def test_the_how_tos_strategy_is_found_configured_and_keeps_the_protocol(installed: Path) -> None:
    # Given the page's package installed, Then its name is in the catalogue
    assert "distil" in catalog.names()
    # When the page's line of config.yaml is read, Then each strategy of it is made with its options
    (line,) = (code for language, code in FENCE.findall(HOW_TO) if language == "yaml")
    refs = TaskConfig.model_validate(yaml.safe_load(line)).strategies
    made = [catalog.make(ref.name, ref.options) for ref in refs]
    assert [type(strategy).__name__ for strategy in made] == ["Replay", "Distil"]
    assert isinstance(made[1], BaseStrategy)
    with pytest.raises(ValueError, match=r"distil\.heat: no such option; allowed: strength, temperature"):
        catalog.check("distil", {"heat": 3})
    # and the page's own test passes
    runpy.run_path(str(installed / "my_package" / "test_distil.py"))["test_distil_keeps_the_protocol"]()


def test_its_class_is_about_twenty_lines() -> None:
    (code,) = (code for _, code in FENCE.findall(HOW_TO) if code.startswith("# my_package/distil.py"))
    body = code[code.index("class ") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("name", list(catalog.BUILT_IN))
def test_the_reference_has_a_row_for_every_option(name: str) -> None:
    # Given the options of a strategy, Then its section has their names, defaults and meanings, and no others
    section = REFERENCE[REFERENCE.index(f"\n## `{name}`\n") + 4 :].partition("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| `")]
    assert rows == [
        f"| `{option}` | `{field.default}` | {' '.join((field.description or '').replace('``', '`').split())} |"
        for option, field in catalog.BUILT_IN[name].options.model_fields.items()
    ]


def test_the_reference_has_a_row_for_every_policy_and_its_options() -> None:
    # Given the replay policies, Then each has a line that says what it holds, and a row for every option
    section = REFERENCE[REFERENCE.index("\n## Replay policies\n") + 4 :].partition("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| `")]
    for kind, policy in POLICIES.items():
        assert any(row.startswith(f"| `{kind}` | {policy.__doc__} |") for row in rows), kind
    assert rows[len(POLICIES) :] == [
        f"| `{kind}` | `{option}` | `{field.default}` | {' '.join((field.description or '').split())} |"
        for kind, policy in POLICIES.items()
        for option, field in policy.model_fields.items()
        if option != "kind"
    ]
