"""Policies by the ``kind`` that config.yaml gives them. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from strategies.policies.balanced import Balanced
from strategies.policies.base import Policy
from strategies.policies.drift_aware import DriftAware
from strategies.policies.hard import Hard
from strategies.policies.herding import Herding
from strategies.policies.history import History
from strategies.policies.recent import Recent
from strategies.policies.reservoir import Reservoir

POLICIES: Mapping[str, type[Policy]] = MappingProxyType(
    {
        "balanced": Balanced,
        "history": History,
        "recent": Recent,
        "reservoir": Reservoir,
        "herding": Herding,
        "hard": Hard,
        "drift_aware": DriftAware,
    }
)

_WORDS: Mapping[object, object] = MappingProxyType({"uniform": "history"})
"""Words of ``policy`` before it was a mapping, where the kind is called otherwise."""


def read_policy(given: object) -> Policy:
    """A policy from its mapping. Raises PydanticCustomError, whose message says what is allowed."""
    if isinstance(given, Policy):
        return given
    if not isinstance(given, Mapping):
        kind = _WORDS.get(given, given)
        raise _problem(f"must be a mapping with a kind: {{kind: {kind if kind in POLICIES else 'balanced'}}}")
    policy = POLICIES.get(str(given.get("kind")))
    if policy is None:
        raise _problem(f"kind must be one of: {', '.join(POLICIES)}")
    try:
        return policy.model_validate(dict(given))
    except ValidationError as error:
        raise _problem("; ".join(_line(policy, found) for found in error.errors())) from None


def _line(policy: type[Policy], found: ErrorDetails) -> str:
    key = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        allowed = ", ".join(sorted(policy.model_fields.keys() - {"kind"}))
        return f"{key}: no such option; allowed: {allowed or 'none'}"
    return f"{key}: {found['input']!r}; {found['msg'][0].lower()}{found['msg'][1:]}"


def _problem(what: str) -> PydanticCustomError:
    return PydanticCustomError("policy", "{what}", {"what": what})
