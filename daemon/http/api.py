"""The routes: one function each. Blocking work runs in the thread pool; predictions are awaited."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from daemon.events import Input
from daemon.http.health import Health
from daemon.http.openapi import MAX_INSTANCES, describe
from daemon.http.problems import Problem
from daemon.http.services import Services
from daemon.stream.rfc3339 import parse_time
from daemon.stream.trace import trace_of

MAX_DEPTH = 32
"""How deep the JSON of a request may be nested."""
_VERSION = re.compile(r"[0-9]{6,12}")


class Api:
    """Handlers over ``services``; ``timeout_s`` bounds a prediction (503)."""

    def __init__(self, services: Services, timeout_s: float) -> None:
        self._services, self._timeout_s = services, timeout_s

    def routes(self) -> list[Route]:
        return [
            *Health(self._services).routes(),
            Route("/openapi.json", self.openapi),
            Route("/v1/predict", self.predict, methods=["POST"]),
            Route("/v1/events", self.events, methods=["POST"]),
            Route("/v1/status", self.status),
            Route("/v1/tasks", self.tasks),
            Route("/v1/tasks/{task}/champion", self.champion, methods=["GET"]),
            Route("/v1/tasks/{task}/champion", self.promote, methods=["PUT"]),
            Route("/v1/tasks/{task}/rollback", self.rollback, methods=["POST"]),
            Route("/v1/tasks/{task}/train", self.train, methods=["POST"]),
            Route("/v1/versions", self.versions),
            Route("/v1/versions/{version}", self.version),
            Route("/v1/versions/{version}/card", self.card),
            Route("/v1/buffer", self.buffer),
        ]

    # -- answers and events ---------------------------------------------------------------------

    async def openapi(self, request: Request) -> Response:
        """This list of routes, as OpenAPI."""
        return JSONResponse(describe(self.routes()))

    async def predict(self, request: Request) -> Response:
        """Answer one input, or up to 256 as ``instances``."""
        body = await _object(request)
        task = self._task(body.get("task"))
        several = "instances" in body
        rows = body["instances"] if several else [body]
        if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_INSTANCES:
            raise Problem(400, f"instances: must be a list of 1 to {MAX_INSTANCES} inputs")
        inputs = [_input(row) for row in rows]
        ids = [_optional(row, "id") for row in rows]
        started = time.perf_counter()
        future = await run_in_threadpool(self._services.submit_prediction, task, inputs)
        try:
            answers = await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError:
            raise Problem(503, f"no answer within http.timeout_s: {self._timeout_s:g} s") from None
        latency_ms = (time.perf_counter() - started) * 1000
        trace = trace_of(request.headers.get("traceparent"), request.headers.get("tracestate"))
        made: Sequence[Mapping[str, Any]]
        if any(ids):
            made = await run_in_threadpool(self._services.predictions, task, inputs, ids, answers, latency_ms, trace)
        else:
            made = self._services.predictions(task, inputs, ids, answers, latency_ms)
        response = _json({"predictions": made} if several else made[0])
        response.headers.update({name: value.decode() for name, value in trace})
        return response

    async def events(self, request: Request) -> Response:
        """One event, a list of them, or JSON lines; answered once they are durable."""
        data = await request.body()
        if request.headers.get("content-type", "").startswith("application/x-ndjson"):
            lines = [line for line in data.splitlines() if line.strip()]
        else:
            body = _parse(data)
            rows = body if isinstance(body, list) else [body]
            if not all(isinstance(row, dict) for row in rows):
                raise Problem(400, "an event is a JSON object; send one, or a list of them")
            lines = [orjson.dumps(row) for row in rows]
        if not lines:
            raise Problem(400, "no event in the body; send one, a list of them, or JSON lines")
        count = await run_in_threadpool(self._services.append, lines)
        return JSONResponse({"acknowledged": count}, 202)

    # -- what is there --------------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        """Where every task stands."""
        return _json(await run_in_threadpool(self._services.status))

    async def tasks(self, request: Request) -> Response:
        """The configured tasks."""
        return _json({"tasks": self._services.tasks()})

    async def champion(self, request: Request) -> Response:
        """Which version is served."""
        return _json(await run_in_threadpool(self._services.champion, self._task(request.path_params["task"])))

    async def versions(self, request: Request) -> Response:
        """All versions, or one task's (``?task=``)."""
        task = request.query_params.get("task")
        rows = await run_in_threadpool(self._services.versions, self._task(task) if task else None)
        return _json({"versions": rows})

    async def version(self, request: Request) -> Response:
        """One version; its hashes are verified."""
        return _json(await run_in_threadpool(self._services.version, _version(request.path_params["version"])))

    async def card(self, request: Request) -> Response:
        """The model card of a version, as Markdown; its hashes are verified."""
        text = await run_in_threadpool(self._services.card, _version(request.path_params["version"]))
        return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")

    async def buffer(self, request: Request) -> Response:
        """Size and last change of the buffer."""
        return _json(await run_in_threadpool(self._services.buffer))

    # -- commands -------------------------------------------------------------------------------

    async def promote(self, request: Request) -> Response:
        """Serve ``version``; ``hold`` keeps it until the next promotion, ``with_labels`` takes in again what
        rollbacks left out."""
        body = await _object(request)
        version = _optional(body, "version")
        if not version:
            raise Problem(400, "version: name the version to serve, for example 000042")
        args = {"version": _version(version), "hold": _flag(body, "hold"), "with_labels": _flag(body, "with_labels")}
        return await self._command("promote", request, args, body)

    async def rollback(self, request: Request) -> Response:
        """Serve the previous champion again, and hold; ``without_labels_since`` (RFC 3339) leaves out labels that
        became known from then until now."""
        body = await _object(request)
        since = _optional(body, "without_labels_since")
        args = {} if since is None else {"without_labels_since": parse_time(since, "without_labels_since")}
        return await self._command("rollback", request, args, body)

    async def train(self, request: Request) -> Response:
        """Start an update now."""
        return await self._command("train_now", request, {}, await _object(request))

    async def _command(self, kind: str, request: Request, args: Mapping[str, Any], body: Mapping[str, Any]) -> Response:
        task = self._task(request.path_params["task"])
        who = f"http:{request.client.host if request.client else '?'}"
        why = _optional(body, "why") or ""
        return _json(await run_in_threadpool(self._services.command, kind, task, args, who, why))

    def _task(self, name: object) -> str:
        tasks = self._services.tasks()
        if name is None and len(tasks) == 1:
            return tasks[0]
        if not isinstance(name, str) or name not in tasks:
            raise Problem(404, f"task {name!r} is not configured; tasks: {', '.join(tasks)}")
        return name


def _json(document: Mapping[str, Any]) -> Response:
    return Response(
        orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS),
        media_type="application/json",
    )


async def _object(request: Request) -> dict[str, Any]:
    body = _parse(await request.body() or b"{}")
    if not isinstance(body, dict):
        raise Problem(400, "the body must be a JSON object")
    return body


def _parse(data: bytes) -> Any:
    try:
        body = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [item for node in level if isinstance(node, dict | list) for item in _items(node)]
        if not level:
            return body
    raise Problem(400, f"the body is nested deeper than {MAX_DEPTH}")


def _items(node: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node


def _version(name: str) -> str:
    if _VERSION.fullmatch(name) is None:
        raise Problem(400, f"version {name[:60]!r}: is not the id of a version; one looks like 000042")
    return name


def _input(row: object) -> Input:
    if not isinstance(row, dict):
        raise Problem(400, "an input is a JSON object with text")
    text, pair, tokens = _optional(row, "text"), _optional(row, "text_pair"), row.get("tokens")
    if tokens is not None:
        if text is not None or pair is not None:
            raise Problem(400, "text and tokens: an input has one of them")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise Problem(400, "tokens: must be a list of strings")
        return Input(tokens=tuple(tokens))
    if text is None:
        raise Problem(400, "text: is missing")
    return Input(text, pair)


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise Problem(400, f"{key}: must be true or false")
    return value


def _optional(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise Problem(400, f"{key}: must be a string")
    return value
