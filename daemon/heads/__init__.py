"""Fast heads: what learns from each label at once. One file a kind, and its line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from daemon.errors import ConfigError
from daemon.heads.ncm import NcmKind
from daemon.heads.ports import HeadKind

KINDS: Mapping[str, HeadKind | None] = MappingProxyType({"none": None, "ncm": NcmKind()})


def get_head(kind: str) -> HeadKind | None:
    """The fast head of config ``head.kind``; None for ``none``. Raises ConfigError for an unknown one."""
    try:
        return KINDS[kind]
    except KeyError:
        raise ConfigError(f"head.kind: {kind!r}; allowed: {', '.join(sorted(KINDS))}") from None
