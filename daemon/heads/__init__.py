"""Fast heads: what learns from each label at once. One file a kind, and its line here.

Named by where they stand and imported when one is asked for: some need torch, and who only looks at a head's
files (ingest, the command line) goes without.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import cast

from daemon.errors import ConfigError
from daemon.heads.ports import HeadKind

KINDS: Mapping[str, str | None] = MappingProxyType(
    {
        "none": None,
        "ncm": "daemon.heads.ncm:NcmKind",
        "slda": "daemon.heads.slda:SldaKind",
        "ranpac": "daemon.heads.ranpac:RanpacKind",
    }
)


@cache
def get_head(kind: str) -> HeadKind | None:
    """The fast head of config ``head.kind``; None for ``none``. Raises ConfigError for an unknown one."""
    try:
        target = KINDS[kind]
    except KeyError:
        raise ConfigError(f"head.kind: {kind!r}; allowed: {', '.join(sorted(KINDS))}") from None
    if target is None:
        return None
    module, _, name = target.partition(":")
    return cast(HeadKind, getattr(import_module(module), name)())
