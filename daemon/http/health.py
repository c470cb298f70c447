"""``/livez``, ``/readyz``, ``/metrics``: what every role that runs alone answers. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from daemon.http.problems import problem


class Healthy(Protocol):
    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether it does its work, and what it waits for (``waiting_for``)."""

    def metrics(self) -> bytes:
        """The exposition text."""


class Health:
    """Handlers over ``services``."""

    def __init__(self, services: Healthy) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [Route("/livez", self.livez), Route("/readyz", self.readyz), Route("/metrics", self.metrics)]

    async def livez(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"live": True})

    async def readyz(self, request: Request) -> Response:
        """It does its work; 503 until then, with what it waits for."""
        ready, details = await run_in_threadpool(self._services.ready)
        if ready:
            return JSONResponse(dict(details))
        waits_for = details.get("waiting_for", "its start")
        return problem(503, f"not ready: waits for {waits_for}", {"Retry-After": "1"}, details)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        text = await run_in_threadpool(self._services.metrics)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
