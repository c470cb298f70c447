"""The OpenAPI 3.1 document, made from the table of routes and what each body may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import Route

from daemon import __version__

MAX_INSTANCES = 256
"""Inputs of one request."""

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_WHY: Schema = {"type": "string", "description": "Stands in the history."}
_INPUT: Schema = {
    "text": _TEXT,
    "text_pair": {"type": "string", "description": "Beside text, for tasks on pairs."},
    "tokens": {"type": "array", "items": _TEXT, "description": "Instead of text, for token classification."},
    "id": {"type": "string", "description": "Makes it an event: a label of that id finds it later."},
}
_REASON: Schema = {"type": "object", "properties": {"why": _WHY}}
_EVENT: Schema = {
    "type": "object",
    "required": ["id"],
    "properties": {
        **_INPUT,
        "task": _TEXT,
        "time": {"type": "string", "format": "date-time"},
        "label": {"description": "Absent in a request; null retracts."},
        "label_time": {"type": "string", "format": "date-time"},
        "source": _TEXT,
        "attributes": {"type": "object", "additionalProperties": _TEXT},
        "op": {"const": "delete"},
    },
}
BODIES: Mapping[str, Schema] = {
    "predict": {
        "type": "object",
        "properties": {
            "task": {"type": "string", "description": "May be left out while one task is configured."},
            **_INPUT,
            "instances": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_INSTANCES,
                "items": {"type": "object", "properties": _INPUT},
            },
        },
    },
    "events": {"oneOf": [_EVENT, {"type": "array", "minItems": 1, "items": _EVENT}]},
    "promote": {
        "type": "object",
        "required": ["version"],
        "properties": {
            "version": {"type": "string", "pattern": "^[0-9]{6,12}$"},
            "hold": {"type": "boolean", "default": False},
            "with_labels": {"type": "boolean", "default": False},
            "why": _WHY,
        },
    },
    "rollback": {
        "type": "object",
        "properties": {"without_labels_since": {"type": "string", "format": "date-time"}, "why": _WHY},
    },
    "train": _REASON,
}
"""Name of a route that writes -> schema of its body."""

PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
}
"""RFC 9457."""


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The document of ``routes``; the first line of a handler's docstring is its summary."""
    paths: dict[str, Any] = {}
    for route in routes:
        for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
            paths.setdefault(route.path, {})[method.lower()] = _operation(route)
    components = {
        "schemas": {"Problem": PROBLEM},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    info = {"title": "retaind", "version": __version__}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _operation(route: Route) -> dict[str, Any]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    failure = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": (route.endpoint.__doc__ or "").strip(),
        "parameters": [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names],
        "responses": {
            "202" if route.name == "events" else "200": {"description": "Done."},
            "default": {"description": "What went wrong.", "content": failure},
        },
    }
    body = BODIES.get(route.name)
    if body is not None:
        content: dict[str, Any] = {"application/json": {"schema": body}}
        if route.name == "events":
            content["application/x-ndjson"] = {"schema": _TEXT}
        operation["requestBody"] = {"required": True, "content": content}
        operation["security"] = [{}, {"token": []}]
    return operation
