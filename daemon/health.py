"""The door of a role that runs alone: ingest and learn beside no predict process. Free of torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import structlog

from daemon.app import Rooms
from daemon.durable import write_atomically
from daemon.errors import ConfigError, StoreError
from daemon.http.app import Serving, create_health_app, serve
from daemon.http.auth import rules
from daemon.metrics import PrometheusObserver, Sample, StateCollector, render
from daemon.roles.troubles import ingest_samples, read_troubles

log = structlog.get_logger(__name__)


class RoleDoor:
    """Listens on ``http.host`` and the role's port of ``http.role_ports``; ``http-ROLE.json`` in the state
    directory tells which. A context manager.

    A standby whose port the serving process still has opens its door when it takes over.
    """

    def __init__(self, rooms: Rooms, role: str, observer: PrometheusObserver, *, standby: bool) -> None:
        self._rooms, self._role, self._observer, self._standby = rooms, role, observer, standby
        self._state = StateCollector(self._samples)
        self._waits_for = "lock" if standby else "start"
        self._serving: Serving | None = None

    def __enter__(self) -> RoleDoor:
        """Raises ConfigError where the port is taken and this is no standby."""
        try:
            self._open()
        except ConfigError as error:
            if not self._standby:
                raise
            log.warning("door_later", role=self._role, error=str(error))
        return self

    def __exit__(self, *error: object) -> None:
        if self._serving is not None:
            self._serving.close()

    def is_ready(self) -> None:
        """The role does its work from now on. Raises ConfigError as above."""
        self._waits_for = ""
        if self._serving is None:
            self._open()

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        told: dict[str, Any] = {"role": self._role, "waiting_for": self._waits_for}
        if self._role == "ingest" and self._waits_for:
            told["troubles"] = sorted(read_troubles(self._rooms.paths.troubles))
        return not self._waits_for, told

    def metrics(self) -> bytes:
        return render(self._observer, self._state)

    def _samples(self) -> Iterator[Sample]:
        """Ingest tells what keeps it from reading; learn tells what everyone counts."""
        if self._role != "ingest":
            return
        try:
            reader = self._rooms.reader()
        except StoreError:  # not made or not migrated yet
            yield from ingest_samples(self._rooms.paths, None)
            return
        try:
            yield from ingest_samples(self._rooms.paths, reader)
        finally:
            reader.close()

    def _open(self) -> None:
        http = self._rooms.config.http
        token = http.token.get_secret_value() if http.token else None
        checks = rules(http.host, token, http.max_body_bytes, http.timeout_s)
        port = int(getattr(http.role_ports, self._role))
        self._serving = serve(create_health_app(self, checks), http.host, port, f"http.role_ports.{self._role}")
        write_door(self._rooms, f"http-{self._role}.json", self._serving.port)


def write_door(rooms: Rooms, name: str, port: int) -> None:
    """Where which process listens, for who asked for a free port."""
    door = {"host": rooms.config.http.host, "port": port, "pid": os.getpid()}
    write_atomically(rooms.paths.root / name, orjson.dumps(door))
