"""What is wrong with Kafka, from the outside in, each with its mend; nothing is changed on the cluster.

Steps: each bootstrap server (name, connection, TLS, SASL), the addresses that the cluster advertises, consumer groups
and transactional id, topics and what is granted on them, settings of the topics that are written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from kafka.errors import KafkaError

from daemon.config.kafka import Kafka, SaslPlain
from daemon.config.stream import Stream
from daemon.errors import StreamError
from daemon.finding import Finding
from daemon.stream.kafka import rights
from daemon.stream.kafka.door import Door, entered, look_at
from daemon.stream.kafka.obstacle import Obstacle
from daemon.stream.kafka.topics import admin_client

REQUEST_S = 5.0
SOON_S = 14 * 86400.0
"""A certificate that ends within this time is told."""


def diagnose(stream: Stream) -> Iterator[Finding]:
    """Takes a fraction of a second, and seconds where somebody does not answer."""
    asked = min(REQUEST_S, stream.kafka.request_timeout_s)
    cfg = stream.kafka.model_copy(update={"request_timeout_s": asked})
    stream = stream.model_copy(update={"kafka": cfg})
    doors = look_at(cfg, cfg.bootstrap_servers)
    passed = [door for door in doors if isinstance(door, Door)]
    for door in doors:
        yield from _door(cfg, door, some=bool(passed))
    if not passed:
        return
    yield from _settings(cfg)
    advertised = list(_advertised(cfg, passed[0]))
    yield from advertised
    if any(finding.status == "fail" for finding in advertised):
        return
    try:
        with entered(cfg, passed[0].address) as (wire, _):
            yield from rights.groups(stream, wire)
        with admin_client(cfg) as admin:
            yield from rights.topics(stream, admin)
    except Obstacle as obstacle:
        yield Finding("fail", obstacle.says, obstacle.mend)
    except (OSError, KafkaError, StreamError) as error:
        yield Finding("fail", f"{passed[0].address}: {error}", "run this again; the broker's log may say why")


def _door(cfg: Kafka, door: Door | Obstacle, *, some: bool) -> Iterator[Finding]:
    if isinstance(door, Obstacle):
        yield Finding("warn" if some else "fail", door.says, door.mend)
        return
    who = f", logged in by SASL {cfg.sasl.kind}" if cfg.sasl else ""
    yield Finding("ok", f"{door.address} answers ({cfg.security_protocol}{who}); brokers: {len(door.brokers)}")
    if door.expires is not None and door.expires < time.time() + SOON_S:
        day = time.strftime("%Y-%m-%d", time.gmtime(door.expires))
        yield Finding("warn", f"{door.address}: TLS: certificate expires on {day}", "renew the broker's certificate")


def _settings(cfg: Kafka) -> Iterator[Finding]:
    if isinstance(cfg.sasl, SaslPlain) and cfg.security_protocol == "SASL_PLAINTEXT":
        mend = "use SASL_SSL, or stream.kafka.sasl.kind scram-sha-512"
        yield Finding("warn", "SASL PLAIN without TLS: the password crosses the network as it is", mend)
    if cfg.delivery == "exactly_once" and cfg.isolation_level != "read_committed":
        mend = "set stream.kafka.isolation_level: read_committed"
        yield Finding("warn", "delivery exactly_once, but records of aborted transactions are read", mend)


def _advertised(cfg: Kafka, door: Door) -> Iterator[Finding]:
    """Whoever lets us in sends us on to addresses of its own, which need not be ones that are known here."""
    others = {address: node for node, address in door.brokers.items() if address != door.address}
    found: Sequence[Door | Obstacle] = look_at(cfg, list(others))
    for (address, node), each in zip(others.items(), found, strict=True):
        if isinstance(each, Obstacle):
            says = f"broker {node} is advertised as {address}, and there: {each.says}"
            mend = f"{each.mend}; or correct advertised.listeners of broker {node}"
            yield Finding("fail", says, mend)
    if not any(isinstance(each, Obstacle) for each in found):
        yield Finding("ok", f"every advertised address is reached: {', '.join(door.brokers.values())}")
