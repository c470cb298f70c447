"""The way in to one broker: name, connection, TLS, the first answer, SASL, and what the broker says of the others."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from kafka.errors import IllegalSaslStateError, KafkaError
from kafka.protocol.metadata import ApiVersionsRequest, MetadataRequest

from daemon.config.kafka import Kafka
from daemon.stream.kafka.login import log_in, offered
from daemon.stream.kafka.obstacle import Obstacle
from daemon.stream.kafka.tls import own_refused, shake_hands, speaks_tls
from daemon.stream.kafka.wire import PATIENCE_S, Wire, connected

LOST = (OSError, KafkaError)
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Door:
    """One that was passed. ``brokers``: node -> ``host:port`` as the cluster advertises them; ``expires``: when the
    broker's certificate ends, seconds since the epoch."""

    address: str
    brokers: Mapping[int, str]
    expires: float | None


@contextmanager
def entered(cfg: Kafka, address: str) -> Iterator[tuple[Wire, Door]]:
    """A connection that is logged in. Raises Obstacle."""
    wire = _greeted(cfg, address)
    try:
        if cfg.sasl is not None:
            log_in(wire, cfg, address)
        yield wire, Door(address, _brokers(wire, cfg, address), wire.expires)
    finally:
        wire.close()


def look(cfg: Kafka, address: str) -> Door | Obstacle:
    try:
        with entered(cfg, address) as (_, door):
            return door
    except Obstacle as obstacle:
        return obstacle


def look_at(cfg: Kafka, addresses: Sequence[str]) -> Sequence[Door | Obstacle]:
    """All of them at once, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda address: look(cfg, address), addresses))


def _greeted(cfg: Kafka, address: str) -> Wire:
    """A connection on which a broker speaks."""
    if not cfg.security_protocol.endswith("SSL"):
        return _greeted_plainly(cfg, address)
    try:
        wire = shake_hands(cfg, address)
    except TimeoutError:
        raise _silent(address) from None
    except OSError as error:
        if _speaks_plainly(address):
            mend = f"set stream.kafka.security_protocol: {cfg.security_protocol.replace('SSL', 'PLAINTEXT')}"
            says = f"{address}: the broker speaks without TLS there, stream.kafka.security_protocol says TLS"
            raise Obstacle(says, f"{mend}, or use the port of a TLS listener") from None
        mend = "let broker and this machine have a TLS version and a cipher in common"
        raise Obstacle(f"{address}: TLS: the handshake failed: {_words(error)}", mend) from None
    try:
        wire.ask(ApiVersionsRequest(version=0))
    except LOST as error:
        wire.close()
        raise _after_handshake(cfg, address, error) from None
    return wire


def _greeted_plainly(cfg: Kafka, address: str) -> Wire:
    wire = Wire(connected(address))
    try:
        wire.ask(ApiVersionsRequest(version=0))
    except LOST as error:
        wire.close()
        if isinstance(error, TimeoutError) or not speaks_tls(address):
            raise _no_kafka(address, error) from None
        ssl_ = cfg.security_protocol.replace("PLAINTEXT", "SSL")
        says = f"{address}: the broker speaks TLS there, stream.kafka.security_protocol says {cfg.security_protocol}"
        raise Obstacle(says, f"set stream.kafka.security_protocol: {ssl_}, or use the port of a plain one") from None
    return wire


def _after_handshake(cfg: Kafka, address: str, error: Exception) -> Obstacle:
    """With TLS 1.3 a broker refuses the client's certificate after the handshake, and what is sent meanwhile can drown
    its alert: so nothing is sent the second time."""
    if isinstance(error, ConnectionError | BrokenPipeError | ssl.SSLError):
        wire = shake_hands(cfg, address)
        try:
            wire.listen()
        except LOST as alert:
            error = alert
        finally:
            wire.close()
    refused = own_refused(cfg, address, error) if isinstance(error, OSError) else None
    return refused or _no_kafka(address, error)


def _brokers(wire: Wire, cfg: Kafka, address: str) -> Mapping[int, str]:
    try:
        answer = wire.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False, version=4))
    except LOST as error:
        if cfg.sasl is None and (mechanisms := _wants_sasl(cfg, address)):
            kind, protocol = mechanisms[0].lower(), cfg.security_protocol.replace("PLAINTEXT", "SASL_PLAINTEXT")
            says = f"{address}: the broker wants SASL ({', '.join(mechanisms)})"
            protocol = protocol if protocol.startswith("SASL") else "SASL_SSL"
            mend = f"set stream.kafka.security_protocol: {protocol} and stream.kafka.sasl: {{kind: {kind}, ...}}"
            raise Obstacle(says, mend, denied=True) from None
        raise _no_kafka(address, error) from None
    return {int(broker.node_id): f"{broker.host}:{broker.port}" for broker in answer.brokers}


def _wants_sasl(cfg: Kafka, address: str) -> Sequence[str]:
    """The mechanisms that a broker offers which wants SASL."""
    try:
        wire = _greeted(cfg, address)
    except Obstacle:
        return ()
    try:
        error, mechanisms = offered(wire)
    except LOST:
        return ()
    finally:
        wire.close()
    return () if error is IllegalSaslStateError else mechanisms


def _speaks_plainly(address: str) -> bool:
    try:
        wire = Wire(connected(address))
    except Obstacle:
        return False
    try:
        wire.ask(ApiVersionsRequest(version=0))
    except LOST:
        return False
    finally:
        wire.close()
    return True


def _silent(address: str) -> Obstacle:
    says = f"{address}: the connection is accepted, but there is no answer within {PATIENCE_S:g} s"
    return Obstacle(says, "see whether the broker is overloaded or stopped, and whether the port is a broker's")


def _no_kafka(address: str, error: Exception) -> Obstacle:
    if isinstance(error, TimeoutError):
        return _silent(address)
    says = f"{address}: what listens there does not answer as a broker ({_words(error)})"
    return Obstacle(says, "correct host and port: they must be of a broker's client listener, not of a controller")


def _words(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error) or type(error).__name__
