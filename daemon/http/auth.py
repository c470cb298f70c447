"""Who may come in: Host, Origin, token, and how large and slow a body may be. Pure ASGI, before any route.

Guarantees:

1. A route sees a request only after every check, and its body only when it is complete: at most
   ``max_body_bytes`` long, whatever its Content-Length says, and here within ``timeout_s``.
2. A body that its sender breaks off reaches no route.
3. The token is compared in constant time. Bound elsewhere than to loopback, there is no door without one.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.errors import ConfigError
from daemon.http.problems import problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ANYWHERE = frozenset({"0.0.0.0", "::"})
OPEN = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json"})
READS = frozenset({"GET", "HEAD", "OPTIONS"})
LEAVE = {"Connection": "close"}
"""Whatever of the body is still under way is not waited for."""
CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Disconnected(Exception):
    """The sender went before its body was complete."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``hosts``: names that the Host header may have, empty for any; ``token``: what writes must carry, None on
    loopback only; ``max_body_bytes`` of a request; ``timeout_s`` for a body to arrive and for an answer to be made."""

    hosts: frozenset[str]
    token: str | None
    max_body_bytes: int
    timeout_s: float


def rules(host: str, token: str | None, max_body_bytes: int, timeout_s: float) -> Rules:
    """The rules of a daemon that listens on ``host``. Where it listens on every address any Host is let in:
    only its users know by which names they reach it. Raises ConfigError off loopback without a token."""
    if not token and host not in LOOPBACK and not host.startswith("127."):
        raise ConfigError(
            f"http.host = {host!r}: anything but loopback needs a token: set RETAIND_HTTP_TOKEN or http.token_file"
        )
    hosts = frozenset() if host in ANYWHERE else LOOPBACK | {host.lower()}
    return Rules(hosts, token or None, max_body_bytes, timeout_s)


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
            status, detail = refusal
            await problem(status, detail, {**LEAVE, **CHALLENGE} if status == 401 else LEAVE)(scope, receive, send)
            return
        if scope["method"] in READS:
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), self._rules.timeout_s)
        except TimeoutError:
            detail = f"the body took longer than http.timeout_s: {self._rules.timeout_s:g} s"
            await problem(408, detail, LEAVE)(scope, receive, send)
            return
        except Disconnected:
            return
        if body is None:
            detail = f"the body is larger than http.max_body_bytes: {self._rules.max_body_bytes}"
            await problem(413, detail, LEAVE)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _refuse(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = host_of(headers.get("host", ""))
        if self._rules.hosts and host not in self._rules.hosts:
            return 400, f"Host {host!r} is not this daemon's; it answers to {', '.join(sorted(self._rules.hosts))}"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
            return 403, f"Origin {origin!r} may not call this daemon from a browser"
        if scope["path"] in OPEN:
            return None
        if self._rules.token is not None and (scope["method"] not in READS):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode(), self._rules.token.encode())
            if scheme.lower() != "bearer" or not same:
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
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size > self._rules.max_body_bytes:
                return None
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)


def host_of(header: str) -> str:
    """The host of a Host header, lower case, without port and brackets; "" where it is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """``body`` in one message, then whatever comes: a route may still learn that its caller has gone."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
