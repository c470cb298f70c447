"""Where each value came from: a line of the file, a variable, ``--set``, or the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daemon.config.document import Given, Node, Tree
from daemon.config.models import Config
from daemon.config.secrets import SECRET_KEYS

DEFAULT = "default"
REDACTED = "***"


def values_of(config: Config) -> Mapping[str, Any]:
    """Dotted key -> value, in the order of the models, secrets redacted. A list of scalars is one value."""
    dumped = config.model_dump(mode="json")
    return {key: REDACTED if key in SECRET_KEYS and value is not None else value for key, value in _flat(dumped, "")}


def provenance_of(config: Config, tree: Tree) -> Mapping[str, str]:
    """Dotted key -> origin, for exactly the keys of :func:`values_of`."""
    given = dict(_origins(tree, ""))
    return {key: given.get(key, DEFAULT) for key in values_of(config)}


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _flat(below, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{key}.{index}")
    else:
        yield key, value


def _origins(node: Node, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, below in node.items():
            yield from _origins(below, f"{key}.{name}" if key else name)
        return
    inherited = node.key.startswith("defaults.")
    yield key, f"{node.origin} (defaults)" if inherited else node.origin
    if isinstance(node.value, list):
        for index, item in enumerate(node.value):
            if isinstance(item, dict | Given):
                yield from _origins(item, f"{key}.{index}")
