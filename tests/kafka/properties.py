"""server.properties of brokers for tests: one machine, little memory, nothing that waits for its own sake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FAST: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.index.size.max.bytes": "1048576",
    "num.network.threads": "2",
    "num.io.threads": "4",
}
"""What makes faults and retention show within seconds, and holds memory down."""


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """One door of a broker: its name, its protocol, and properties of its own.

    ``properties`` are those of ``listener.name.<name>.``, without that prefix.
    """

    name: str
    protocol: str
    properties: Mapping[str, str] = field(default_factory=dict)


PLAINTEXT = Listener("PLAINTEXT", "PLAINTEXT")
CONTROLLER = Listener("CONTROLLER", "PLAINTEXT")


def replication(nodes: int) -> Mapping[str, str]:
    """Factors for a cluster of ``nodes``: every topic on each of them, all but one of which must hold a write."""
    factor, least = str(nodes), str(max(1, nodes - 1))
    return {
        "default.replication.factor": factor,
        "min.insync.replicas": least,
        "offsets.topic.replication.factor": factor,
        "transaction.state.log.replication.factor": factor,
        "transaction.state.log.min.isr": least,
    }


def server(
    node: int, directory: str, ports: Mapping[Listener, int], voters: Mapping[int, int], host: str = "127.0.0.1"
) -> dict[str, str]:
    """All properties of one node that is broker and controller.

    ``ports``: of each listener, CONTROLLER among them. ``voters``: the controller's port of every node.
    """
    doors = [listener for listener in ports if listener is not CONTROLLER]
    made = {
        **FAST,
        **replication(len(voters)),
        "process.roles": "broker,controller",
        "node.id": str(node),
        "log.dirs": directory,
        "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{port}" for n, port in voters.items()),
        "controller.listener.names": CONTROLLER.name,
        "inter.broker.listener.name": PLAINTEXT.name,
        "listeners": ",".join(f"{listener.name}://{host}:{port}" for listener, port in ports.items()),
        "advertised.listeners": ",".join(f"{listener.name}://127.0.0.1:{ports[listener]}" for listener in doors),
        "listener.security.protocol.map": ",".join(f"{listener.name}:{listener.protocol}" for listener in ports),
    }
    for listener in doors:
        prefix = f"listener.name.{listener.name.lower()}."
        made |= {prefix + key: value for key, value in listener.properties.items()}
    return made


def written(properties: Mapping[str, str]) -> str:
    """As a Java properties file."""
    lines = (f"{key}={value}".replace("\\", "\\\\").replace("\n", "\\n") for key, value in properties.items())
    return "\n".join(lines) + "\n"
