"""One blocking connection to one broker, to ask it a few things and be told why not.

kafka-python retries behind one error ("Unable to bootstrap"), and loses a refusal whose connection ends at once.
Here each step raises its own error. Versions of requests are those that every broker from Kafka 1.1 to 4 takes.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from kafka.errors import KafkaProtocolError
from kafka.protocol.parser import KafkaProtocol

from daemon.errors import StreamUnavailable
from daemon.stream.kafka.obstacle import Obstacle
from daemon.stream.kafka.watchdog import within

PATIENCE_S = 3.0
"""How long one step (a name, a connection, a handshake, an answer) may take."""
LARGEST = 4 << 20
"""Bytes of an answer; more is not an answer of a broker to what is asked here."""


class Wire:
    """``expires``: when the certificate that the broker showed ends, seconds since the epoch; None without TLS."""

    def __init__(self, sock: socket.socket, expires: float | None = None) -> None:
        self._sock, self.expires = sock, expires
        self._protocol = KafkaProtocol(client_id="retaind", receive_message_max_bytes=LARGEST)

    def ask(self, request: Any) -> Any:
        """The answer. Raises OSError where the connection fails, KafkaError where it is not an answer."""
        deadline = time.monotonic() + PATIENCE_S
        self._protocol.send_request(request)
        self._sock.settimeout(PATIENCE_S)
        self._sock.sendall(self._protocol.send_bytes())
        while True:
            self._sock.settimeout(max(0.01, deadline - time.monotonic()))
            data = self._sock.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the connection was closed")
            for _, answer in self._protocol.receive_bytes(data):
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")

    def listen(self) -> None:
        """Wait for what the broker says unasked: its alert. Raises OSError, ssl.SSLError among them."""
        self._sock.settimeout(PATIENCE_S)
        if self._sock.recv(1):
            raise KafkaProtocolError("an answer without a question")

    def close(self) -> None:
        self._sock.close()


def split(address: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def connected(address: str) -> socket.socket:
    """A TCP connection. Raises Obstacle."""
    host, port = split(address)
    try:
        found = within(PATIENCE_S, "no name server", lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError, StreamUnavailable) as error:
        raise Obstacle(
            f"{address}: the host name is not known ({_words(error)})",
            "correct stream.kafka.bootstrap_servers, or the name service (DNS, /etc/hosts) of this machine",
        ) from None
    failed: OSError | None = None
    for family, kind, protocol, _, place in found[:2]:
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(place)
        except OSError as error:
            sock.close()
            failed = failed or error
        else:
            return sock
    assert failed is not None
    says, mend = _unreachable(failed)
    raise Obstacle(f"{address}: {says}", mend)


def secured(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """``sock`` after a TLS handshake. Raises OSError, and ``sock`` is closed then."""
    try:
        return context.wrap_socket(sock, server_hostname=host.rstrip("."))
    except BaseException:
        sock.close()
        raise


def _unreachable(error: OSError) -> tuple[str, str]:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nobody listens there", "start the broker, or correct stream.kafka.bootstrap_servers"
    if isinstance(error, TimeoutError):
        return (
            f"no answer within {PATIENCE_S:g} s",
            "let it through firewalls and routes, or correct stream.kafka.bootstrap_servers",
        )
    return f"cannot be reached: {_words(error)}", "mend the network between here and the broker"


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
