"""Ports on loopback that stay free while a broker is down."""

from __future__ import annotations

import random
import socket

PORTS = range(20_000, 30_000)
"""Below those from which Linux picks for outgoing connections; pyproject.toml's filterwarnings names them too."""


def free_port() -> int:
    """A port that nobody listens on, one of PORTS.

    A port that the system picks could be taken by a client while the broker is away, or a client that tries to
    reach the absent broker could even be connected to itself.
    """
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
