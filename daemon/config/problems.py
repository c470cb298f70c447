"""From pydantic's errors to one line each: key, value, where it was given, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daemon.config.document import Given, Node, Tree, plain
from daemon.config.secrets import SECRET_KEYS
from daemon.config.walk import keys_at
from daemon.errors import ConfigError

_WHOLE, _NUMBER = "must be a whole number", "must be a number"
_ALLOWED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda ctx: "is required",
    "literal_error": lambda ctx: f"allowed: {_plain_list(str(ctx['expected']))}",
    "union_tag_invalid": lambda ctx: f"kind must be one of: {_plain_list(str(ctx['expected_tags']))}",
    "union_tag_not_found": lambda ctx: "must name its kind, for example {kind: ...}; see docs/reference/config.md",
    "greater_than": lambda ctx: f"must be more than {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than": lambda ctx: f"must be less than {ctx['lt']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "string_pattern_mismatch": lambda ctx: f"must match {ctx['pattern']}",
    "too_short": lambda ctx: f"needs at least {ctx['min_length']} entry",
    "int_parsing": lambda ctx: _WHOLE,
    "int_type": lambda ctx: _WHOLE,
    "int_from_float": lambda ctx: _WHOLE,
    "float_parsing": lambda ctx: _NUMBER,
    "float_type": lambda ctx: _NUMBER,
    "bool_parsing": lambda ctx: "must be true or false",
    "bool_type": lambda ctx: "must be true or false",
    "string_type": lambda ctx: "must be text (put it in quotes)",
    "list_type": lambda ctx: "must be a list: [..., ...]",
    "dict_type": lambda ctx: "must be a mapping of keys",
    "model_type": lambda ctx: "must be a mapping of keys",
    "model_attributes_type": lambda ctx: "must be a mapping of keys",
    "path_type": lambda ctx: "must be a path",
}


def config_error(error: ValidationError, tree: Tree) -> ConfigError:
    """All of pydantic's errors as one ConfigError with a line for each; ``tree`` is what was validated."""
    lines = dict.fromkeys(_line(details, tree) for details in error.errors(include_url=False))
    return ConfigError("\n".join(lines))


def problem(key: str, value: object, allowed: str, origin: str = "") -> str:
    """``KEY = VALUE (ORIGIN): what is allowed``"""
    shown = "***" if key in SECRET_KEYS else repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{key} = {shown}{f' ({origin})' if origin else ''}: {allowed}"


def _line(details: ErrorDetails, tree: Tree) -> str:
    path, node = _locate(details["loc"], tree)
    origin, key = _origin(node, ".".join(path))
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"{key}{f' ({origin})' if origin else ''}: unknown key; {nearest(path, tree)}"
    say = _ALLOWED.get(kind)
    allowed = say(details.get("ctx") or {}) if say else details["msg"].splitlines()[0]
    if kind == "missing" and node is None:
        return f"{key}: {allowed}"
    return problem(key, plain(node) if node is not None else details["input"], allowed, origin)


def nearest(path: tuple[str, ...], tree: Tree) -> str:
    """What may have been meant by the last part of ``path``, or else what may stand there."""
    parent: Any = tree
    for part in path[:-1]:
        parent = _step(parent, part)
    kind = parent.get("kind") if isinstance(parent, dict) else None
    known = keys_at(path[:-1], kind.value if isinstance(kind, Given) else None)
    close = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"


def _locate(loc: tuple[int | str, ...], tree: Tree) -> tuple[tuple[str, ...], Node | None]:
    """pydantic's location without the tags of unions that it puts in, and what stands there."""
    node: Node | None = tree
    path: list[str] = []
    for raw in loc:
        part = str(raw)
        below = _step(node, part)
        if below is None and (part.startswith("[") or (isinstance(node, dict) and _is_tag(node, part))):
            continue
        path.append(part)
        node = below
    return tuple(path), node


def _is_tag(node: Tree, part: str) -> bool:
    kind = node.get("kind")
    return isinstance(kind, Given) and kind.value == part


def _step(node: Node | None, part: str) -> Node | None:
    if isinstance(node, dict):
        return node.get(part)
    if isinstance(node, Given) and isinstance(node.value, list) and part.isdigit() and int(part) < len(node.value):
        item: Node = node.value[int(part)]
        return item
    return None


def _origin(node: Node | None, key: str) -> tuple[str, str]:
    """Where a node was given and the key as it was written there (``defaults.x`` for a task's ``x``)."""
    while isinstance(node, dict) and node:
        first = next(iter(node.values()))
        if isinstance(first, Given):
            return first.origin, first.key.rpartition(".")[0] or key
        node = first
    return (node.origin, node.key) if isinstance(node, Given) else ("", key)


def _plain_list(text: str) -> str:
    return text.replace("'", "").replace(" or ", ", ")
