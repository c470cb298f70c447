"""The client found no broker: it says "Unable to bootstrap", and here is why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from daemon.config.kafka import Kafka
from daemon.errors import StreamDenied, StreamUnavailable
from daemon.stream.kafka.door import Door, look_at
from daemon.stream.kafka.errors import translated
from daemon.stream.kafka.obstacle import Obstacle


@contextmanager
def reaching(cfg: Kafka) -> Iterator[None]:
    """Errors of a client that connects become ours, with the cause where there is one to be found (a few seconds)."""
    try:
        with translated(f"stream.kafka.bootstrap_servers = {cfg.bootstrap_servers}"):
            yield
    except StreamUnavailable as error:
        if type(error) is not StreamUnavailable:
            raise
        raise explained(cfg, error) from error


def explained(cfg: Kafka, error: StreamUnavailable) -> StreamUnavailable:
    """StreamDenied or StreamUnavailable with the cause; ``error`` where all brokers let us in by now."""
    obstacles = _obstacles(cfg)
    if not obstacles:
        return error
    kind = StreamDenied if all(obstacle.denied for obstacle in obstacles) else StreamUnavailable
    says = dict.fromkeys(obstacle.says for obstacle in obstacles)
    return kind(f"{'; '.join(says)}; {obstacles[0].mend}")


def _obstacles(cfg: Kafka) -> list[Obstacle]:
    """Before every bootstrap server; where one lets us in, before the brokers that it names."""
    doors = look_at(cfg, cfg.bootstrap_servers)
    first = next((door for door in doors if isinstance(door, Door)), None)
    if first is not None:
        doors = look_at(cfg, [address for address in first.brokers.values() if address != first.address])
    return [door for door in doors if isinstance(door, Obstacle)]
