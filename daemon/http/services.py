"""What HTTP may ask of the daemon. ``daemon.doors`` implements it; tests use a fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from daemon.events import Input
from daemon.stream.ports import Headers

Document = Mapping[str, Any]


class Services(Protocol):
    def tasks(self) -> Sequence[str]: ...

    def submit_prediction(self, task: str, inputs: Sequence[Input]) -> Future[Any]:
        """Raises QueueFull, DecodeError; the future gives one answer per input."""

    def predictions(
        self,
        task: str,
        inputs: Sequence[Input],
        ids: Sequence[str | None],
        answers: Sequence[Any],
        latency_ms: float,
        trace: Headers = (),
    ) -> Sequence[Document]:
        """Blocking: what has an id goes to the stream before it is returned, ``trace`` in its headers."""

    def append(self, lines: Sequence[bytes]) -> int:
        """Blocking: returns once the events are acknowledged."""

    def status(self) -> Document: ...

    def task(self, task: str) -> Document: ...

    def champion(self, task: str) -> Document: ...

    def versions(self, task: str | None) -> Sequence[Document]: ...

    def version(self, version_id: str) -> Document: ...

    def card(self, version_id: str) -> str: ...

    def buffer(self) -> Document: ...

    def ready(self) -> tuple[bool, Document]: ...

    def metrics(self) -> bytes: ...

    def command(self, kind: str, task: str, args: Mapping[str, Any], who: str, why: str) -> Document:
        """Blocking: the outcome. Raises CommandRefused."""
