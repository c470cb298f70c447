"""Policies by kind."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from strategies import catalog
from strategies.checks import check_strategy
from strategies.policies.registry import POLICIES


@pytest.mark.parametrize("kind", list(POLICIES))
def test_replay_keeps_the_protocol_with_each(kind: str) -> None:
    # Given replay with a policy and its defaults, alone and beside another, Then every check holds
    check_strategy(lambda: catalog.make("replay", {"policy": {"kind": kind}}))
    check_strategy(lambda: catalog.make("ewc", {}), lambda: catalog.make("replay", {"policy": {"kind": kind}}))
    assert POLICIES[kind]().kind == kind
    assert str(POLICIES[kind]()) == f"{{kind: {kind}}}"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("uniform", "'uniform'; must be a mapping with a kind: {kind: history}"),
        ("hard", "'hard'; must be a mapping with a kind: {kind: hard}"),
        (3, "3; must be a mapping with a kind: {kind: balanced}"),
        ({"kind": "best"}, "{'kind': 'best'}; kind must be one of: balanced, history, recent, reservoir, herding"),
        ({"share_ratio": 1}, "{'share_ratio': 1}; kind must be one of: balanced,"),
        (
            {"kind": "recent", "share_ratio": 2},
            "{'kind': 'recent', 'share_ratio': 2}; share_ratio: 2; input should be less than or equal to 1",
        ),
        (
            {"kind": "recent", "half_life": 9},
            "half_life: no such option; allowed: half_life_events, share_ratio",
        ),
        ({"kind": "history", "x": 1}, "x: no such option; allowed: none"),
    ],
)
def test_what_is_wrong_is_named_with_the_mend(given: object, problem: str) -> None:
    # Given a policy that is a word, unknown, or has a bad option, When checked, Then one line says what to write
    with pytest.raises(ValueError, match=r"^replay\.policy: .*" + re.escape(problem)):
        catalog.check("replay", {"policy": given})


def test_the_daemons_side_imports_no_torch() -> None:
    # Given every policy made, Then torch was not imported
    code = (
        "import sys; from strategies.policies.registry import POLICIES; "
        "[policy().plan(40, 10) for policy in POLICIES.values()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
