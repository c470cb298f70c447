"""Strategies by name."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from importlib.metadata import EntryPoint

import pytest

from strategies import catalog
from strategies.checks import check_strategy
from strategies.replay import Replay
from tests.strategies.contract import StrategyContract


class TestCatalogue(StrategyContract):
    @pytest.fixture(params=catalog.names())
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


@pytest.mark.parametrize("beside", [name for name in catalog.names() if name != "replay"])
def test_each_composes_with_replay(beside: str) -> None:
    # Given a list of two, in both orders, Then every check holds of the list
    both = [lambda: catalog.make("replay", {}), lambda: catalog.make(beside, {})]
    check_strategy(*both)
    check_strategy(*reversed(both))


@pytest.mark.parametrize(
    "together",
    [
        ("replay", "ewc", "lwf"),
        ("replay", "er_ace", "der++"),
        ("si", "replay", "mas", "lwf", "agem"),
        tuple(catalog.BUILT_IN),
        tuple(reversed(tuple(catalog.BUILT_IN))),
    ],
    ids=lambda together: "+".join(together) if len(together) < 6 else "all",
)
def test_many_act_together(together: tuple[str, ...]) -> None:
    # Given a longer list, up to every strategy that ships, Then every check holds of it
    check_strategy(*(partial(catalog.make, name, {}) for name in together))


def test_unknown_name_lists_the_known_ones() -> None:
    # Given a name that nothing has, When it is made, Then the message names it and the allowed ones
    with pytest.raises(ValueError, match=r"name: 'reply'; allowed: .*replay"):
        catalog.make("reply", {})


def test_bad_values_are_all_named() -> None:
    # Given two bad values, When checked, Then one line names both keys, the values and the bounds
    with pytest.raises(ValueError, match=r"replay\.ratio: -1; .*greater than 0.*replay\.pool_factor: 99; .*64"):
        catalog.check("replay", {"ratio": -1, "pool_factor": 99})


def test_a_plugin_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an installed package that registers a strategy
    plugin = EntryPoint("mine", "tests.strategies.test_catalog:MINE", catalog.GROUP)
    monkeypatch.setattr(catalog, "_plugins", lambda: {"mine": plugin})
    # When it is made by name, Then its own class answers, with checked options
    assert "mine" in catalog.names()
    assert isinstance(catalog.make("mine", {"ratio": 2}), Replay)
    with pytest.raises(ValueError, match=r"mine\.rate: no such option"):
        catalog.check("mine", {"rate": 2})


def test_a_plugin_that_is_no_entry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an entry point that names something else, Then the message says what it must be
    plugin = EntryPoint("mine", "strategies.replay:Replay", catalog.GROUP)
    monkeypatch.setattr(catalog, "_plugins", lambda: {"mine": plugin})
    with pytest.raises(ValueError, match=r"strategies\.replay:Replay is type; it must be a strategies\.catalog\.Entry"):
        catalog.check("mine", {})


def test_checking_and_planning_import_no_torch() -> None:
    # Given the daemon's side, When a strategy is checked and made, Then torch was not imported
    code = (
        "import sys; from strategies import catalog as c; [c.check(name, {}) for name in c.names()]; "
        "c.make('replay', {}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


MINE = catalog.Entry(catalog.BUILT_IN["replay"].options, "strategies.replay:Replay")
