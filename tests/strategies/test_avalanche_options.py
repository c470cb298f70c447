"""A plugin of Avalanche's is judged before anything is loaded."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from strategies import avalanche_source as source
from strategies import catalog
from strategies.avalanche_facade import Facade
from strategies.avalanche_plugins import _INSTEAD, _UNFIT, PLUGINS, PROVIDES, missing, refusal
from tests.cli.run import retaind
from tests.strategies.avalanche_cases import ARGS

DOCS = Path(__file__).parents[2] / "docs"


def message(**options: object) -> str:
    with pytest.raises(ValueError, match=r"^avalanche\.") as error:
        catalog.check("avalanche", options)
    return str(error.value)


@pytest.mark.parametrize("plugin", list(PLUGINS))
def test_what_runs_here_is_accepted(plugin: str) -> None:
    catalog.check("avalanche", {"plugin": plugin, "args": ARGS[plugin]})


def test_every_plugin_of_avalanche_runs_or_is_refused_with_something_instead() -> None:
    # Given all plugins that the installed Avalanche offers
    offered = set(source.plugins())
    assert set(PLUGINS) <= offered
    # Then each of the others has a reason, by what it lacks or by name, and something to use instead
    assert offered - set(PLUGINS) == set(_INSTEAD)
    for plugin in _INSTEAD:
        assert missing(source.uses(plugin)) or plugin in _UNFIT
        assert f"; use instead: {_INSTEAD[plugin]}" in (refusal(plugin) or "")


def test_a_plugin_that_needs_more_is_refused_with_the_attribute() -> None:
    # Given a plugin that changes the criterion, Then its name, the attribute and the way out are told
    text = message(plugin="MIRPlugin")
    assert text.startswith("avalanche.plugin: 'MIRPlugin'; needs strategy._criterion.reduction, ")
    assert text.endswith("which retaind does not provide; use instead: the strategy replay")


def test_check_config_refuses_it_with_status_2(tmp_path: Path) -> None:
    # Given a configuration with such a plugin, When it is checked
    (tmp_path / "config.yaml").write_text(
        "tasks: {support: {strategies: [{name: avalanche, plugin: GDumbPlugin, args: {mem_size: 20}}]}}\n"
    )
    result = retaind("check-config", cwd=tmp_path)
    # Then it is refused, and the message names task, plugin, attribute and what to use
    assert (result.returncode, result.stdout) == (2, "")
    said = " ".join(result.stderr.split())
    assert "tasks.support.strategies[0]: avalanche.plugin: 'GDumbPlugin'; needs strategy.model_adaptation" in said
    assert "use instead: the strategy replay" in said


def test_an_unknown_plugin_lists_those_allowed() -> None:
    assert message(plugin="LwfPlugin").endswith(f"has no such plugin; allowed: {', '.join(sorted(PLUGINS))}")


@pytest.mark.parametrize(
    ("plugin", "args", "said"),
    [
        ("EWCPlugin", {"lam": 1}, "no such argument of EWCPlugin: lam; allowed: ewc_lambda, mode, decay_factor, "),
        ("EWCPlugin", {}, "needs ewc_lambda (EWCPlugin)"),
        ("EWCPlugin", {"ewc_lambda": -1}, "ewc_lambda: -1; input should be greater than or equal to 0"),
        ("EWCPlugin", {"ewc_lambda": 1, "mode": "online"}, "mode online needs a decay_factor"),
        (
            "ReplayPlugin",
            {"storage_policy": "x"},
            "no such argument of ReplayPlugin: storage_policy; allowed: mem_size",
        ),
        ("GEMPlugin", {"patterns_per_experience": 0}, "needs memory_strength"),
    ],
)
def test_bad_arguments_are_named(plugin: str, args: dict[str, object], said: str) -> None:
    assert said in message(plugin=plugin, args=args)


@pytest.mark.parametrize("plugin", list(PLUGINS))
def test_our_arguments_are_those_of_the_signature(plugin: str) -> None:
    # Given the constructor of the installed plugin, Then ours have its names and defaults
    theirs = source.signature(plugin)
    ours = PLUGINS[plugin].args.model_fields
    assert set(ours) <= set(theirs)
    assert {name for name, argument in theirs.items() if argument.required} <= set(ours)
    for name, field in ours.items():
        assert field.is_required() == theirs[name].required
        assert field.is_required() or field.default == theirs[name].default


def test_an_attribute_counts_where_the_plugin_hands_its_strategy_on() -> None:
    # Given a plugin whose regulariser, in another file, reads the model, Then that is seen
    assert "model" in source.uses("LwFPlugin")
    assert missing(frozenset({"model", "model.train", "mb_x.size", "model.features", "peval", "peval.mode"})) == [
        "model.features",
        "peval",
    ]


def test_the_facade_has_what_is_listed_and_no_more() -> None:
    # Given the façade's class, Then its public attributes and those of Avalanche's private ones are the list
    held = {field.name for field in fields(Facade)} - {"plugin"}
    computed = {name for name, value in vars(Facade).items() if isinstance(value, property)}
    assert held | computed == set(PROVIDES)


def test_the_reference_lists_the_facade_and_the_plugins() -> None:
    section = (DOCS / "reference" / "strategies.md").read_text().split("\n## `avalanche`\n")[1].partition("\n## ")[0]
    rows = re.findall(r"^\| strategy\.`([\w.]+)` \| (.+?) \| (.*?) \|$", section, re.MULTILINE)
    assert rows == [
        (name, meaning, "all" if only is None else ", ".join(f"`{one}`" for one in only) or "none")
        for name, (meaning, only) in PROVIDES.items()
    ]
    for plugin, row in PLUGINS.items():
        names = ", ".join(f"`{name}`" for name in row.args.model_fields)
        assert re.search(rf"^\| {plugin} \| {re.escape(names)} \| .+ \|$", section, re.MULTILINE), plugin


def test_checking_imports_neither_torch_nor_avalanche() -> None:
    # Given the daemon's side, When plugins are checked, Then nothing heavy was imported, in little time
    code = (
        "import sys, time; from strategies import catalog as c\n"
        "c.check('avalanche', {'plugin': 'EWCPlugin', 'args': {'ewc_lambda': 1}})\n"
        "sys.exit(bool({'torch', 'avalanche'} & set(sys.modules)))"
    )
    start = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert time.monotonic() - start < 10


def test_making_and_planning_do_not_import_avalanche() -> None:
    code = (
        "import sys; from strategies import catalog as c; from strategies.base import PlanStats\n"
        "made = c.make('avalanche', {'plugin': 'ReplayPlugin', 'args': {'mem_size': 50}})\n"
        "assert [r.n for r in made.plan(PlanStats(10, 1000, {}, 1, 4, 0))] == [50]\n"
        "assert [r.n for r in made.plan(PlanStats(10, 20, {}, 1, 4, 0))] == [20]\n"
        "assert not c.make('avalanche', {}).plan(PlanStats(10, 1000, {}, 1, 4, 0))\n"
        "sys.exit('avalanche' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
