"""The composition root: a configuration becomes wired roles. The one place that knows every room."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from daemon.beside import AT_ONCE
from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.clock import Clock, SystemClock
from daemon.config.models import Config
from daemon.config.paths import StatePaths
from daemon.config.signature import check_signature
from daemon.errors import ConfigError, RetaindError
from daemon.observe import NullObserver, Observer
from daemon.registry.store import FileRegistry
from daemon.roles.ingest import IngestRole
from daemon.roles.lag import Lag
from daemon.roles.probe import Probe
from daemon.roles.troubles import Troubles
from daemon.stream.decoders import Decoder, get_decoder
from daemon.stream.ends import ENDS, Ends
from daemon.stream.ports import OutRecord, Sink, Source
from daemon.tasks.base import TaskSchema
from daemon.tasks.schema import get_schema
from strategies import catalog

if TYPE_CHECKING:
    import torch

    from daemon.roles.learner import TaskLearner


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rooms:
    """What all roles stand on. Opening it makes the state directory and checks its signature."""

    config: Config
    paths: StatePaths
    clock: Clock
    observer: Observer
    registry: FileRegistry
    schemas: Mapping[str, TaskSchema]

    @classmethod
    def make(cls, config: Config, *, clock: Clock | None = None, observer: Observer | None = None) -> Rooms:
        """Raises ConfigError for an unknown task type or strategy option, SignatureMismatch for a state
        directory made under an incompatible configuration."""
        check_plugins(config)
        paths = StatePaths(config.state_dir)
        paths.make()
        check_signature(config.state_dir, config)
        return cls(
            config,
            paths,
            clock or SystemClock(),
            observer or NullObserver(),
            FileRegistry(paths.registry),
            {name: get_schema(task.type) for name, task in config.tasks.items()},
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the configuration, without where its state lies."""
        content = self.config.model_dump(mode="json", exclude={"state_dir"})
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    @property
    def default_task(self) -> str | None:
        return next(iter(self.config.tasks)) if len(self.config.tasks) == 1 else None

    def decoders(self, *, predict_only: bool = False) -> Mapping[str, Decoder]:
        return {
            item.topic: get_decoder(item.decoder, default_task=self.default_task)
            for item in self.config.stream.inputs
            if item.predict or not predict_only
        }

    @property
    def ends(self) -> Ends:
        """Makes the stream's ends."""
        return ENDS[self.config.stream.kind](self.config.stream, self.paths.stream)

    def reader(self) -> SqliteBufferReader:
        return SqliteBufferReader(self.paths.buffer)

    def writer(self) -> SqliteBufferWriter:
        return SqliteBufferWriter(self.paths.buffer, self.config.tasks, self.config.buffer, self.clock)

    def lag(self) -> Lag:
        """Of ingest behind its topics. The buffer must be there (:func:`daemon.launch.wait_for_buffer`)."""
        return Lag(self.ends.reader(list(self.decoders())), self.reader().positions)


def check_plugins(config: Config) -> None:
    """Refuse bad strategy names and options before anything starts."""
    for name, task in config.tasks.items():
        for index, ref in enumerate(task.strategies):
            try:
                catalog.check(ref.name, ref.options)
            except ValueError as error:
                raise ConfigError(f"tasks.{name}.strategies[{index}]: {error}") from error


def make_ingest(rooms: Rooms, source: Source, sink: Sink) -> IngestRole:
    stream = rooms.config.stream
    answered = next((item.topic for item in stream.inputs if item.predict), None)
    return IngestRole(
        source,
        sink,
        rooms.writer(),
        decoders=rooms.decoders(),
        schemas=rooms.schemas,
        clock=rooms.clock,
        observer=rooms.observer,
        dead_letter_topic=stream.outputs.dead_letters,
        max_record_bytes=stream.max_record_bytes,
        passed=lambda: passed(rooms),
        labels={name: task.labels for name, task in rooms.config.tasks.items()},
        connector=stream.kafka.group_id,
        outbox_max_bytes=rooms.config.buffer.outbox_max_bytes,
        troubles=Troubles(rooms.clock, rooms.paths.troubles),
        probe=Probe(sink, rooms.clock, answered, next(iter(rooms.config.tasks)), stream.probe_interval_s),
    )


def passed(rooms: Rooms) -> Mapping[str, int]:
    """task -> the change that every kept HeadState has passed: the champion's and the previous version's.
    A task without a fast head holds nothing back."""
    from daemon.heads.store import state_cursor

    result = {}
    reader = rooms.reader()
    try:
        for task, config in rooms.config.tasks.items():
            if config.head.kind == "none":
                result[task] = reader.last_seq(task)
                continue
            kept = {rooms.registry.alias(task, "champion"), rooms.registry.alias(task, "previous")}
            cursors = [state_cursor(rooms.paths.head(task, version)) for version in kept if version]
            result[task] = min((cursor or 0 for cursor in cursors), default=0)
    finally:
        reader.close()
    return result


def make_learner(
    rooms: Rooms,
    task: str,
    device: torch.device,
    *,
    sink: Sink | None = None,
    lag: Callable[[], int] = lambda: 0,
    always_promote: bool = False,
    seed: int = 0,
    beside: Executor = AT_ONCE,
    snapshot_s: float | None = None,
) -> TaskLearner:
    """``snapshot_s``: left out, that of the configuration."""
    from daemon.roles.learner import TaskLearner
    from daemon.roles.surroundings import Surroundings
    from daemon.update.local import LocalExecutor

    def announce(kind: str, details: Mapping[str, Any]) -> None:
        if sink is None:
            return
        body = {"kind": kind, "time": rooms.clock.now(), **details}
        try:
            sink.send([OutRecord(rooms.config.stream.outputs.versions, orjson.dumps(body), key=task.encode())])
            sink.flush(10.0)
        except RetaindError as error:
            log.warning("announcement_failed", task=task, kind=kind, error=str(error))

    learn = rooms.config.learn
    around = Surroundings(
        reader=rooms.reader(),
        registry=rooms.registry,
        executor=LocalExecutor(),
        paths=rooms.paths,
        clock=rooms.clock,
        observer=rooms.observer,
        device=device,
        lag=lag,
        strategies=lambda config: [catalog.make(ref.name, ref.options) for ref in config.strategies],
        announce=announce,
        fold_batch=learn.fold_batch,
        snapshot_s=learn.snapshot_s if snapshot_s is None else snapshot_s,
        keep_versions=learn.keep_versions,
        always_promote=always_promote,
        seed=seed,
        beside=beside,
    )
    return TaskLearner(task, rooms.config.tasks[task], rooms.schemas[task], around)
