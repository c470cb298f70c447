"""Strategies by the name that config.yaml gives them.

A further one is registered by an installed package, nothing here changes::

    [project.entry-points."retaind.strategies"]
    mine = "my_package.catalogue:ENTRY"       # an Entry(options=MyOptions, target="my_package.mine:Mine")

``options`` is an :class:`strategies.options.Options` and imports no torch; ``target`` is imported
when a strategy is made, and called with the checked options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, cast

from pydantic import ValidationError

from strategies.agem_options import AgemOptions
from strategies.avalanche_options import AvalancheOptions
from strategies.base import Strategy
from strategies.der_options import DerOptions
from strategies.er_ace_options import ErAceOptions
from strategies.ewc_options import EwcOptions
from strategies.l2_anchor_options import L2AnchorOptions
from strategies.lwf_options import LwfOptions
from strategies.mas_options import MasOptions
from strategies.options import Options
from strategies.replay_options import ReplayOptions
from strategies.si_options import SiOptions

GROUP = "retaind.strategies"


@dataclass(frozen=True, slots=True)
class Entry:
    """``options``: the torch-free options class. ``target``: ``module:Class``, called with options."""

    options: type[Options]
    target: str


BUILT_IN: Mapping[str, Entry] = MappingProxyType(
    {
        "agem": Entry(AgemOptions, "strategies.agem:Agem"),
        "der++": Entry(DerOptions, "strategies.der:DerPlusPlus"),
        "er_ace": Entry(ErAceOptions, "strategies.er_ace:ErAce"),
        "avalanche": Entry(AvalancheOptions, "strategies.avalanche:Avalanche"),
        "ewc": Entry(EwcOptions, "strategies.ewc:Ewc"),
        "l2_anchor": Entry(L2AnchorOptions, "strategies.l2_anchor:L2Anchor"),
        "lwf": Entry(LwfOptions, "strategies.lwf:Lwf"),
        "mas": Entry(MasOptions, "strategies.mas:Mas"),
        "replay": Entry(ReplayOptions, "strategies.replay:Replay"),
        "si": Entry(SiOptions, "strategies.si:Si"),
    }
)


def names() -> tuple[str, ...]:
    """Every name that ``strategies`` in config.yaml may hold, sorted."""
    return tuple(sorted({*BUILT_IN, *_plugins()}))


def check(name: str, options: Mapping[str, Any]) -> None:
    """Raises ValueError that names the key, the value found and what is allowed. Imports no torch."""
    _options(name, options)


def make(name: str, options: Mapping[str, Any]) -> Strategy:
    """The strategy with its options. Raises ValueError as :func:`check` does."""
    entry, checked = _options(name, options)
    module, _, attribute = entry.target.partition(":")
    factory = cast(Callable[[Options], Strategy], getattr(import_module(module), attribute))
    return factory(checked)


def _options(name: str, options: Mapping[str, Any]) -> tuple[Entry, Options]:
    entry = _entry(name)
    try:
        return entry, entry.options.model_validate(dict(options))
    except ValidationError as error:
        raise ValueError("; ".join(_line(name, entry, found) for found in error.errors())) from None


def _line(name: str, entry: Entry, found: Any) -> str:
    key = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return f"{name}.{key}: no such option; allowed: {', '.join(sorted(entry.options.model_fields)) or 'none'}"
    return f"{name}.{key}: {found['input']!r}; {found['msg'][0].lower()}{found['msg'][1:]}"


def _entry(name: str) -> Entry:
    if name in BUILT_IN:
        return BUILT_IN[name]
    plugin = _plugins().get(name)
    if plugin is None:
        raise ValueError(f"name: {name!r}; allowed: {', '.join(names())}")
    entry = plugin.load()
    if not isinstance(entry, Entry):
        raise ValueError(
            f"name: {name!r}; the entry point {plugin.value} is {type(entry).__name__}; "
            "it must be a strategies.catalog.Entry"
        )
    return entry


@cache
def _plugins() -> Mapping[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=GROUP)}
