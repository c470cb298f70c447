"""Each role as a running process: take the lock, wire the rooms, run until told to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from daemon.app import Rooms, make_ingest, make_learner
from daemon.beside import beside
from daemon.config.models import Config
from daemon.durable import written_to
from daemon.errors import ConfigError
from daemon.health import RoleDoor, write_door
from daemon.metrics import PrometheusObserver, prepare_multiprocess
from daemon.process import die_with_parent
from daemon.roles.control import Control
from daemon.roles.lock import RoleLock
from daemon.roles.supervise import Supervisor

log = structlog.get_logger(__name__)


def stop_on_signals() -> threading.Event:
    """Set by the first SIGTERM or SIGINT; a second one ends the process at once."""
    stop = threading.Event()

    def first(number: int, frame: object) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    signal.signal(signal.SIGTERM, first)
    signal.signal(signal.SIGINT, first)
    return stop


Ready = Callable[[], None]
"""Called once a role does its work."""


def run_ingest(rooms: Rooms, stop: threading.Event, ready: Ready, *, standby: bool = False) -> None:
    """Records into the buffer. Never imports torch. Ready once the stream has answered."""
    with RoleLock(rooms.paths.root, "ingest").acquire(standby=standby, stop=stop):
        role = make_ingest(rooms, rooms.ends.member(list(rooms.decoders()), "ingest"), rooms.ends.sink())

        def is_ready() -> None:
            ready()
            log.info("ready", role="ingest")

        role.run(stop, is_ready)


def run_learn(rooms: Rooms, stop: threading.Event, ready: Ready, *, standby: bool = False) -> None:
    """Folds, trains, judges, swaps."""
    from daemon.roles.learn import LearnRole

    device = _torch(rooms.config.learn.threads, rooms.config.learn.device)
    with RoleLock(rooms.paths.root, "learn").acquire(standby=standby, stop=stop):
        sink = rooms.ends.sink()
        wait_for_buffer(rooms, stop)
        if stop.is_set():
            return
        lag = rooms.lag()
        slow = beside(rooms.config.learn.threads)
        make: Callable[[], Mapping[str, Any]] = lambda: {  # noqa: E731
            task: make_learner(rooms, task, device, sink=sink, lag=lag.records, beside=slow)
            for task in rooms.config.tasks
        }
        role = LearnRole(make, rooms.registry, rooms.clock, Control(rooms.paths.control))
        role.open()
        ready()
        log.info("ready", role="learn")
        role.run(stop)
        slow.shutdown(wait=False, cancel_futures=True)


def wait_for_buffer(rooms: Rooms, stop: threading.Event) -> None:
    """Ingest makes the buffer; until it has, there is nothing to learn from."""
    while not rooms.paths.buffer.exists() and not stop.wait(0.05):
        pass


def run_predict(rooms: Rooms, stop: threading.Event, ready: Ready, *, standby: bool = False) -> None:
    """Answers the stream's requests and HTTP."""
    from daemon.doors import Doors
    from daemon.http.app import create_app, serve
    from daemon.http.auth import rules
    from daemon.roles.predict import RequestLoop
    from daemon.serving.loading import Precision, load_served
    from daemon.serving.predictor import Predictor
    from daemon.serving.watch import Watcher

    config = rooms.config
    device = _torch(config.predict.threads, config.predict.device)
    predictor = Predictor(config.predict.max_batch_tokens, config.predict.max_queue, rooms.observer)
    fast = [name for name, task in config.tasks.items() if task.head.kind != "none"]
    precision = Precision(config.predict.precision == "int8", config.predict.recheck_odds)
    if precision.int8 and device.type != "cpu":
        raise ConfigError(f"predict.precision: int8 answers on a CPU, not on {device}; use fp32 or predict.device: cpu")
    watcher = Watcher(
        rooms.registry,
        rooms.paths.heads,
        predictor,
        config.tasks,
        device,
        rooms.observer,
        fast=fast,
        load=partial(load_served, precision=precision),
    )
    sink = rooms.ends.sink()
    decoders = rooms.decoders(predict_only=True)
    source = rooms.ends.member(list(decoders), "predict")
    loop = RequestLoop(
        source,
        rooms.ends.delivery(source, "predict"),
        predictor,
        decoders,
        rooms.schemas,
        rooms.clock,
        config.stream.outputs.predictions,
        config.predict.top_k,
        rooms.observer,
    )
    assert isinstance(rooms.observer, PrometheusObserver)
    doors = Doors(rooms, predictor, watcher, sink, rooms.observer)
    token = config.http.token.get_secret_value() if config.http.token else None
    checks = rules(config.http.host, token, config.http.max_body_bytes, config.http.timeout_s)
    server = serve(create_app(doors, checks), config.http.host, config.http.port)
    write_door(rooms, "http.json", server.port)
    ready()
    watcher.start()
    failures: list[BaseException] = []
    requests = threading.Thread(target=_answer, args=(watcher, loop, stop, failures), name="requests")
    requests.start()
    log.info("listening", role="predict", host=config.http.host, port=server.port)
    stop.wait()
    requests.join()
    server.close()
    watcher.close()
    predictor.close()
    if failures:
        raise failures[0]


def _answer(watcher: Any, loop: Any, stop: threading.Event, failures: list[BaseException]) -> None:
    """The request loop, once there is something to answer with. What ends it ends the process."""
    try:
        while not stop.is_set() and not watcher.all_ready():
            stop.wait(0.05)
        if not stop.is_set():
            log.info("ready", role="predict")
            loop.run(stop)
        loop.close()
    except BaseException as error:  # noqa: BLE001 - raised by the main thread
        failures.append(error)
        stop.set()


def _torch(threads: int, device: str) -> Any:
    import torch

    torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


ROLES: Mapping[str, Callable[..., None]] = {"ingest": run_ingest, "learn": run_learn, "predict": run_predict}


def launch(config: Config, role: str, *, standby: bool, supervised: bool) -> None:
    """Run one role in this process until SIGTERM.

    Raises ConfigError, SignatureMismatch, LockHeld, and StoreError where the state directory cannot be written.
    """
    if supervised:
        die_with_parent()
    stop = stop_on_signals()
    observer = PrometheusObserver(list(config.tasks))
    with written_to(config.state_dir):
        rooms = Rooms.make(config, observer=observer)
        if supervised or role == "predict":
            ROLES[role](rooms, stop, lambda: None, standby=standby)
            return
        with RoleDoor(rooms, role, observer, standby=standby) as door:
            ROLES[role](rooms, stop, door.is_ready, standby=standby)


def supervise(config: Config, commands: Mapping[str, list[str]]) -> int:
    """Run all roles as children until SIGTERM; returns the exit status.

    Raises LockHeld where a daemon runs on this state directory already: it is left as it is; StoreError where
    the directory cannot be written.
    """
    with written_to(config.state_dir):
        rooms = Rooms.make(config)
        with RoleLock(rooms.paths.root, "run").acquire():
            prepare_multiprocess(rooms.paths.metrics)
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(rooms.paths.metrics)
            return Supervisor(commands, rooms.paths.root, config.shutdown.timeout_s).run()
