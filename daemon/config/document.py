"""YAML as a tree in which every leaf knows where it was written.

Safe by construction: only mappings with text keys, lists, and the scalars of YAML 1.2's core schema
(``true``/``false``, whole numbers, decimals also as ``1e-3``, ``null``, text). So ``no`` and ``2026-11-24``
are text, a duplicate key is refused with both lines, and no tag makes an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from daemon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave: a scalar, or a list of nodes. ``key``: as it was written."""

    value: Any
    origin: str
    key: str


Node = dict[str, "Node"] | Given
Tree = dict[str, Node]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own shape)


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)

_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}

_PLAIN = frozenset({*_SCALARS, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


def read_document(text: str, name: str) -> Tree:
    """The mapping in ``text``; ``name`` is what errors and origins call it (``config.yaml:12``).

    Raises ConfigError with the line for what is not YAML, a duplicate key, or an unsafe tag.
    """
    root = _compose(text, name)
    if root is None:
        return {}
    try:
        tree = _convert(root, name, "", lines=True)
    except RecursionError:
        raise ConfigError(f"{name}: an anchor refers to itself") from None
    if isinstance(tree, Given):
        raise ConfigError(f"{name}: must be a mapping of keys, not {_short(tree.value)}")
    return tree


def read_value(text: str, origin: str, key: str) -> Node:
    """One value (scalar, ``[list]`` or ``{mapping}``) from the environment or the command line."""
    root = _compose(text, origin)
    return Given(None, origin, key) if root is None else _convert(root, origin, key, lines=False)


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise ConfigError(f"{name}{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from None


def _convert(node: yaml.Node, name: str, key: str, *, lines: bool) -> Node:
    origin = f"{name}:{node.start_mark.line + 1}" if lines else name
    if node.tag not in _PLAIN:
        raise ConfigError(f"{origin}: {key}: tag {node.tag} is not allowed; write plain YAML")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, name, key, lines=lines)
    if isinstance(node, yaml.SequenceNode):
        items = [_convert(item, name, f"{key}.{index}", lines=lines) for index, item in enumerate(node.value)]
        return Given(items, origin, key)
    try:
        return Given(_SCALARS[node.tag](node.value), origin, key)
    except (KeyError, ValueError):  # only an explicit tag can disagree with its value
        raise ConfigError(f"{origin}: {key} = {node.value!r}: does not fit its tag {node.tag}") from None


def _mapping(node: yaml.MappingNode, name: str, key: str, *, lines: bool) -> Tree:
    tree: Tree = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        place = f"{name}:{line}" if lines else name
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{place}: a key must be text")
        part = key_node.value
        full = f"{key}.{part}" if key else part
        if part in tree:
            raise ConfigError(f"{place}: {full} is given twice; it stands in line {first[part]} already")
        first[part] = line
        tree[part] = _convert(value_node, name, full, lines=lines)
    return tree


def plain(node: Node) -> Any:
    """The same without origins: dicts, lists and scalars."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def _short(value: object) -> str:
    text = repr(plain(Given(value, "", "")))
    return text if len(text) <= 60 else text[:57] + "..."
