"""Loading the configuration: command line > environment > file > default.

Steps, in this order:

1. The file is read into a tree whose leaves know their line.
2. ``RETAIND_A__B=value`` and then ``--set a.b=value`` are laid over it. Mappings merge key by key; a list
   or a scalar replaces; where ``kind`` chooses a section, another kind replaces the section.
3. ``defaults`` is laid *under* every task: what a task says itself always wins over ``defaults``.
4. The models check types, ranges and unknown keys; ``combinations`` checks what no single key can show.
5. Secrets are read from their variable or their file (:mod:`daemon.config.secrets`); from nowhere else.

Each failure is a ConfigError with one line an error: key, value, where it was given, what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daemon.config.combinations import check_combinations
from daemon.config.document import Given, Node, Tree, plain, read_document, read_value
from daemon.config.models import Config
from daemon.config.problems import config_error
from daemon.config.provenance import provenance_of
from daemon.config.secrets import VARIABLES, refuse_secrets, with_secrets
from daemon.config.walk import is_choice
from daemon.errors import ConfigError

PREFIX = "RETAIND_"
FILE_VARIABLE = "RETAIND_CONFIG"
"""Names the configuration file where ``--config`` does not; not a key itself."""

_KUBERNETES = re.compile(r"^RETAIND_(SERVICE_(HOST|PORT)(_.+)?|PORT(_\d+_(TCP|UDP)(_.+)?)?)$")
"""Set in every pod beside a Service called ``retaind``; none of them names a key of ours."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """``provenance``: dotted key of each value -> ``config.yaml:12``, ``RETAIND_X``, ``--set`` or ``default``."""

    config: Config
    provenance: Mapping[str, str]


def load(file: Path | None, sets: Sequence[str], environ: Mapping[str, str]) -> Loaded:
    """The configuration. ``sets``: ``key=value`` of ``--set``, in order. Raises ConfigError."""
    tree: Tree = {} if file is None else _read(file)
    refuse_secrets(tree)
    for name in sorted(environ):
        if name.startswith(PREFIX) and not _reserved(name):
            parts = name.removeprefix(PREFIX).lower().split("__")
            tree = _lay(tree, _variable_path(tree, parts), environ[name], name)
    for given in sets:
        key, equals, value = given.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {given}: must be KEY=VALUE, for example --set http.port=8091")
        overlay = _lay({}, key.strip().split("."), value, "--set")
        refuse_secrets(overlay)
        tree = _merged(tree, overlay)
    tree = _with_defaults(tree)
    try:
        config = Config.model_validate(plain(tree))
    except ValidationError as error:
        raise config_error(error, tree) from None
    provenance = dict(provenance_of(config, tree))
    config, origins = with_secrets(config, environ)
    provenance.update(origins)
    check_combinations(config, provenance)
    return Loaded(config, provenance)


def _read(file: Path) -> Tree:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--config {file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--config {file}: is not UTF-8 text") from None
    return read_document(text, file.name)


def _reserved(name: str) -> bool:
    return name == FILE_VARIABLE or name in VARIABLES or _KUBERNETES.match(name) is not None


def _variable_path(tree: Tree, parts: Sequence[str]) -> list[str]:
    """Keys behind a variable's parts: ``SUPPORT_EN`` finds the task ``Support-EN`` where there is one."""
    path: list[str] = []
    node: Node | None = tree
    for part in parts:
        keys = list(node) if isinstance(node, dict) else []
        found = next((key for key in keys if key.lower().replace("-", "_") == part), part)
        path.append(found)
        node = node.get(found) if isinstance(node, dict) else None
    return path


def _lay(tree: Tree, path: Sequence[str], text: str, origin: str) -> Tree:
    node: Node = read_value(text, origin, ".".join(path))
    for part in reversed(path):
        node = {part: node}
    assert isinstance(node, dict)
    return _merged(tree, node)


def _merged(base: Tree, over: Tree, path: tuple[str, ...] = ()) -> Tree:
    if _kind(base) is not None and _kind(over) not in (None, _kind(base)) and is_choice(path):
        return over
    merged = dict(base)
    for key, node in over.items():
        merged[key] = _merge_node(base.get(key), node, (*path, key))
    return merged


def _merge_node(base: Node | None, over: Node, path: tuple[str, ...]) -> Node:
    if isinstance(over, Given):
        return over
    if isinstance(base, dict):
        return _merged(base, over, path)
    if isinstance(base, Given) and isinstance(base.value, list) and over:
        return _merge_items(base, over, path)
    return over


def _merge_items(base: Given, over: Tree, path: tuple[str, ...]) -> Given:
    """``--set stream.inputs.0.topic=x``: one entry of a list."""
    items = list(base.value)
    for index, node in over.items():
        if not index.isdigit() or int(index) >= len(items):
            raise ConfigError(f"{'.'.join((*path, index))}: no such entry; {'.'.join(path)} has 0 to {len(items) - 1}")
        items[int(index)] = _merge_node(items[int(index)], node, (*path, index))
    return Given(items, base.origin, base.key)


def _kind(tree: Tree) -> object:
    kind = tree.get("kind")
    return kind.value if isinstance(kind, Given) else None


def _with_defaults(tree: Tree) -> Tree:
    rest = dict(tree)
    defaults = _section(rest.pop("defaults", {}))
    tasks = _section(rest.get("tasks", {}))
    if tasks == {}:
        raise ConfigError("tasks: none is configured; name one, for example --set tasks.support.type=sequence")
    if isinstance(defaults, Given):
        raise ConfigError(f"defaults = {plain(defaults)!r} ({defaults.origin}): must be a mapping of keys")
    if isinstance(tasks, dict):
        merged: Tree = {}
        for name, node in tasks.items():
            task = _section(node)
            merged[name] = task if isinstance(task, Given) else _merged(defaults, task, ("tasks", name))
        rest["tasks"] = merged
    return rest


def _section(node: Node) -> Node:
    """A key with nothing behind it (``support:``) is an empty section."""
    return {} if isinstance(node, Given) and node.value is None else node
