"""Every failure as application/problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daemon.errors import (
    CommandRefused,
    DecodeError,
    NotServing,
    PredictionFailed,
    QueueFull,
    RecordRefused,
    RetaindError,
    StreamUnavailable,
    UnknownVersion,
    VersionError,
)

log = structlog.get_logger(__name__)

Handler = Callable[[Request, Exception], Awaitable[Response]]

STATUS: dict[type[RetaindError], int] = {
    DecodeError: 400,
    UnknownVersion: 404,
    VersionError: 409,
    CommandRefused: 409,
    QueueFull: 429,
    RecordRefused: 413,
    PredictionFailed: 500,
    NotServing: 503,
    StreamUnavailable: 503,
}
"""Our errors as statuses, the first that fits; any other of ours is a 503."""


class Problem(Exception):
    """A failure that a handler wants to tell."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
) -> JSONResponse:
    """``more``: extension members of the document."""
    body = {
        **(more or {}),
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem(error.status, error.detail, error.headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}", headers)


async def _ours(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 503)
    return problem(status, str(error), {"Retry-After": "1"} if status in (429, 503) else None)


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("http_failed", path=request.url.path, error=repr(error))
    return problem(500, "the daemon failed on this request; its log says why")


HANDLERS: dict[type[Exception], Handler] = {
    Problem: _problem,
    HTTPException: _http,
    RetaindError: _ours,
    Exception: _unexpected,
}
