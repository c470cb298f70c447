"""Who may come in: Host, Origin, token, and how large and slow a body may be. Pure ASGI, before any route."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.http.problems import problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
OPEN = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json"})
READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Rules:
    """``hosts``: names in the Host header; ``token``: what writes must carry, None only on loopback."""

    hosts: frozenset[str]
    token: str | None
    max_body_bytes: int
    timeout_s: float


def rules(host: str, token: str | None, max_body_bytes: int, timeout_s: float) -> Rules:
    hosts: Iterable[str] = LOOPBACK | {host} if host in LOOPBACK or host not in ("0.0.0.0", "::") else ()
    return Rules(frozenset(hosts), token, max_body_bytes, timeout_s)


class Doorkeeper:
    """Refuses with 400 (Host), 403 (Origin), 401 (token), 415, 413, 408; otherwise calls ``app``."""

    def __init__(self, app: ASGIApp, checks: Rules) -> None:
        self._app, self._rules = app, checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refuse(scope, headers)
        if refusal is not None:
            await problem(*refusal)(scope, receive, send)
            return
        if scope["method"] in READS:
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), self._rules.timeout_s)
        except TimeoutError:
            await problem(408, f"the body took longer than http.timeout_s: {self._rules.timeout_s:g} s")(
                scope, receive, send
            )
            return
        if body is None:
            detail = f"the body is larger than http.max_body_bytes: {self._rules.max_body_bytes}"
            await problem(413, detail, {"Connection": "close"})(scope, receive, send)
            return

        async def once() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, once, send)

    def _refuse(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if self._rules.hosts and host not in self._rules.hosts:
            return 400, f"Host {host!r} is not this daemon's; it answers to {', '.join(sorted(self._rules.hosts))}"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, f"Origin {origin!r} may not call this daemon from a browser"
        if scope["path"] in OPEN:
            return None
        if self._rules.token is not None and (scope["method"] not in READS):
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._rules.token.encode()):
                return 401, "writes need `Authorization: Bearer TOKEN`"
        if scope["method"] not in READS:
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in ("application/json", "application/x-ndjson"):
                return 415, f"Content-Type {kind!r}: send application/json"
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > self._rules.max_body_bytes:
                return 413, f"the body has {length} bytes, http.max_body_bytes allows {self._rules.max_body_bytes}"
        return None

    async def _body(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"".join(parts)
            part = message.get("body", b"")
            size += len(part)
            if size > self._rules.max_body_bytes:
                return None
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)
