"""Three brokers that hold every record twice at least, so that one may fail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kafka.broker import Broker, cluster_id
from tests.kafka.ports import free_port

NODES = (1, 2, 3)


class Cluster:
    """Nodes 1 to 3, each broker and controller: replication factor 3, ``min.insync.replicas`` 2.

    Any one node may be killed and writes with acks=all go on; with two gone they wait.
    """

    def __init__(self, directory: Path, properties: Mapping[str, str] | None = None) -> None:
        voters = {node: free_port() for node in NODES}
        same = cluster_id()
        self.nodes = {
            node: Broker(directory / f"node-{node}", node=node, cluster=same, voters=voters, properties=properties)
            for node in NODES
        }

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every node, with commas."""
        return ",".join(broker.bootstrap for broker in self.nodes.values())

    def start(self, timeout_s: float = 120) -> Self:
        """Start what is not running and wait until all serve."""
        for broker in self.nodes.values():
            if not broker.running:
                broker.launch()
        for broker in self.nodes.values():
            broker.ready(timeout_s)
        return self

    def kill(self) -> None:
        for broker in self.nodes.values():
            broker.kill()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
