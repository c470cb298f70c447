"""What an installed Avalanche plugin takes and uses, read from its source: nothing of Avalanche is imported.

Importing it takes seconds and brings torch; a configuration is checked in a fraction of one. What a plugin uses
is every ``strategy.X`` and ``strategy.X.Y`` in its class, in the classes and functions under
``avalanche/training`` that it names, and in theirs. An attribute reached under another name
(``model = strategy.model``) is not seen here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Definition = ast.ClassDef | ast.FunctionDef

_PARAMETERS = frozenset({"strategy", "agent", "agent_state"})
"""Names under which Avalanche hands on what it calls the strategy."""
_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a plugin's constructor. ``default``: as written; None where it is no plain value."""

    required: bool
    default: Any = None


@cache
def plugins() -> Mapping[str, str]:
    """Name -> its module, of every plugin that ``avalanche.training.plugins`` offers, in the order of names.

    Raises ValueError where avalanche-lib is not installed.
    """
    package = "avalanche.training.plugins"
    found: dict[str, str] = {}
    for node in _tree(package).body:
        if isinstance(node, ast.ImportFrom):
            module = _absolute(package, True, node)
            for name, definition in _definitions(module).items():
                if isinstance(definition, ast.ClassDef):
                    kinds = [name, *(_name(base) for base in definition.bases)]
                    if any(kind.endswith("Plugin") for kind in kinds):
                        found[name] = module
    found.pop("SupervisedPlugin", None)
    return dict(sorted(found.items()))


@cache
def signature(plugin: str) -> Mapping[str, Argument]:
    """The arguments of a plugin of :func:`plugins`, in order."""
    definition = _definitions(plugins()[plugin])[plugin]
    for node in definition.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args][1:]]
            values: list[Any] = [_REQUIRED] * (len(names) - len(node.args.defaults))
            values += [_value(default) for default in node.args.defaults]
            return {
                name: Argument(True) if value is _REQUIRED else Argument(False, value)
                for name, value in zip(names, values, strict=True)
            }
    return {}


@cache
def uses(plugin: str) -> frozenset[str]:
    """``X`` and ``X.Y`` for every attribute of the strategy that a plugin of :func:`plugins` uses."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(plugins()[plugin], plugin)]
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        module, name = place
        definition = _definitions(module)[name]
        found.update(_attributes(definition))
        named = {node.id for node in _code(definition) if isinstance(node, ast.Name)}
        waiting += [target for other in sorted(named) if (target := _resolve(module, other)) is not None]
    return frozenset(found)


def _attributes(definition: Definition) -> Iterator[str]:
    for function in ast.walk(definition):
        if not isinstance(function, ast.FunctionDef):
            continue
        given = {argument.arg for argument in function.args.args} & _PARAMETERS
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute):
                chain = _name(node).split(".")
                if chain[0] in given:
                    yield ".".join(chain[1:3])


def _resolve(module: str, name: str, depth: int = 4) -> tuple[str, str] | None:
    """Where ``name`` in ``module`` is defined, if that is under avalanche.training."""
    if name in _definitions(module):
        return module, name
    if depth == 0:
        return None
    package = _path(module).name == "__init__.py"
    for node in _tree(module).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        source = _absolute(module, package, node)
        names = {alias.asname or alias.name: alias.name for alias in node.names}
        if source.startswith("avalanche.training") and (name in names or "*" in names):
            found = _resolve(source, names.get(name, name), depth - 1)
            if found is not None:
                return found
    return None


def _absolute(module: str, package: bool, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + (1 if package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


@cache
def _definitions(module: str) -> Mapping[str, Definition]:
    return {node.name: node for node in _tree(module).body if isinstance(node, Definition)}


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _path(module: str) -> Path:
    spec = find_spec("avalanche")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("avalanche-lib is not installed; pip install 'avalanche-lib>=0.6'")
    path = Path(spec.submodule_search_locations[0]).joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _code(definition: Definition) -> Iterator[ast.AST]:
    """Everything but annotations."""
    waiting: list[ast.AST] = [definition]
    while waiting:
        node = waiting.pop()
        yield node
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns"):
                waiting += [
                    item for item in (value if isinstance(value, list) else [value]) if isinstance(item, ast.AST)
                ]


def _name(node: ast.expr) -> str:
    """``a.b.c``; what is no chain of names gives an empty first part."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
