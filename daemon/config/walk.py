"""Finding one's way in the models: which section stands at a key, and which keys it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from daemon.config.models import Config
from daemon.config.task import TaskConfig

Models = tuple[type[BaseModel], ...]


def models_at(path: Sequence[str]) -> Models:
    """The section that stands at ``path`` (several where a ``kind`` chooses); empty for a plain value.

    List indices and names of tasks count as parts; ``defaults`` stands for any task.
    """
    if path and path[0] == "defaults":
        return _descend((TaskConfig,), path[1:])
    return _descend((Config,), path)


def _descend(models: Models, path: Sequence[str]) -> Models:
    if not path:
        return models
    head, rest = path[0], path[1:]
    found: Models = ()
    for model in models:
        field = model.model_fields.get(head)
        if field is None:
            continue
        inner, step = sections_of(field.annotation)
        found += _descend(inner, rest[1:]) if step and rest else (inner if not rest and not step else ())
        if not step and rest:
            found += _descend(inner, rest)
    return found


def sections_of(annotation: Any) -> tuple[Models, bool]:
    """(sections in an annotation, whether they stand one step deeper, in a list or mapping)."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return sections_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(model for arg in get_args(annotation) for model in sections_of(arg)[0]), False
    if origin in (list, dict):
        return sections_of(get_args(annotation)[-1])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,), False
    return (), False


def kind_of(model: type[BaseModel]) -> str | None:
    """The value of ``kind`` that chooses this section among others; None where nothing does."""
    field = model.model_fields.get("kind")
    if field is None or get_origin(field.annotation) is not Literal:
        return None
    values = get_args(field.annotation)
    return str(values[0]) if len(values) == 1 else None


def is_choice(path: Sequence[str]) -> bool:
    """Whether another ``kind`` at ``path`` is another section, with other keys."""
    models = models_at(path)
    return bool(models) and all(kind_of(model) is not None for model in models)


def keys_at(path: Sequence[str], kind: object = None) -> list[str]:
    """Keys allowed at ``path``; where a ``kind`` chooses, those of that kind if it is known."""
    models = models_at(path)
    chosen = tuple(model for model in models if kind_of(model) == kind) or models
    keys = dict.fromkeys(name for model in chosen for name in model.model_fields)
    if not path:
        keys["defaults"] = None
    return list(keys)


def every_key(models: Models = (Config,), prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all plain values, with ``*`` for a task's name and an index of a list."""
    for model in models:
        for name, field in model.model_fields.items():
            inner, step = sections_of(field.annotation)
            path = (*prefix, name, "*") if step and inner else (*prefix, name)
            if inner:
                yield from every_key(inner, path)
            else:
                yield path
