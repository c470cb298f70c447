"""The ASGI application and the server that carries it."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from daemon.errors import ConfigError, RetaindError
from daemon.http.api import Api
from daemon.http.auth import Doorkeeper, Rules
from daemon.http.health import Health, Healthy
from daemon.http.problems import HANDLERS
from daemon.http.services import Services

START_S = 10.0
DRAIN_S = 5


def create_app(services: Services, checks: Rules) -> ASGIApp:
    """Routes behind the doorkeeper; every failure is a problem document."""
    inner = Starlette(routes=Api(services, checks.timeout_s).routes(), exception_handlers=dict(HANDLERS))
    return Doorkeeper(inner, checks)


def create_health_app(services: Healthy, checks: Rules) -> ASGIApp:
    """Only ``/livez``, ``/readyz`` and ``/metrics``, for a role that runs alone."""
    return Doorkeeper(Starlette(routes=Health(services).routes(), exception_handlers=dict(HANDLERS)), checks)


@dataclass(slots=True)
class Serving:
    """A server in a thread of its own. ``port``: the one it got."""

    port: int
    _server: uvicorn.Server
    _thread: threading.Thread

    def close(self) -> None:
        """Answer what came in, then leave."""
        self._server.should_exit = True
        self._thread.join()


def serve(app: ASGIApp, host: str, port: int, key: str = "http.port") -> Serving:
    """Listen and return once requests are answered. Raises ConfigError, naming ``key``, where the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"{key}: {host}:{port} cannot be bound: {error.strerror}; choose another") from error
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RetaindError("the HTTP server did not start; its log says why")
        time.sleep(0.01)
    return Serving(int(listener.getsockname()[1]), server, thread)
