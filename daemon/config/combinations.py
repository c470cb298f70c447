"""What no single key can show: combinations that cannot work."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence

from daemon.config.decoders import CloudEventsDecoder, MappedDecoder
from daemon.config.kafka import Kafka, Password, SaslOauth
from daemon.config.mapped import mapped_problems
from daemon.config.models import Config
from daemon.config.problems import problem
from daemon.errors import ConfigError

Finding = tuple[str, object, str]
"""(key, value, what is allowed)"""


def check_combinations(config: Config, provenance: Mapping[str, str]) -> None:
    """Raises ConfigError with one line for each combination that cannot work."""
    lines = [
        problem(key, value, allowed, "" if provenance.get(key, "default") == "default" else provenance[key])
        for check in CHECKS
        for key, value, allowed in check(config)
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _open_door(config: Config) -> Iterator[Finding]:
    if not is_loopback(config.http.host) and config.http.token is None:
        yield (
            "http.host",
            config.http.host,
            "anything but loopback needs a token: set RETAIND_HTTP_TOKEN or http.token_file",
        )


def _kafka(config: Config) -> Iterator[Finding]:
    kafka = config.stream.kafka
    if config.stream.kind == "kafka" and not kafka.bootstrap_servers:
        yield "stream.kafka.bootstrap_servers", [], "with stream.kind kafka it needs at least one host:port"
    for index, server in enumerate(kafka.bootstrap_servers):
        host, colon, port = server.rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
            yield f"stream.kafka.bootstrap_servers.{index}", server, "must be host:port, for example kafka-1:9092"
    wants_sasl, has_sasl = kafka.security_protocol.startswith("SASL"), kafka.sasl is not None
    if wants_sasl and not has_sasl:
        yield "stream.kafka.security_protocol", kafka.security_protocol, "needs stream.kafka.sasl, {kind: ...}"
    if has_sasl and not wants_sasl:
        allowed = "has no SASL, but stream.kafka.sasl is given; use SASL_SSL (or SASL_PLAINTEXT), or leave sasl out"
        yield "stream.kafka.security_protocol", kafka.security_protocol, allowed
    yield from _credentials(kafka)
    if kafka.ssl.key_file is not None and kafka.ssl.cert_file is None:
        yield "stream.kafka.ssl.key_file", str(kafka.ssl.key_file), "needs stream.kafka.ssl.cert_file beside it"
    for name in ("ca_file", "cert_file", "key_file", "crl_file"):
        file = getattr(kafka.ssl, name)
        if file is not None and not file.is_file():
            yield f"stream.kafka.ssl.{name}", str(file), "there is no such file"


def _credentials(kafka: Kafka) -> Iterator[Finding]:
    sasl = kafka.sasl
    if isinstance(sasl, Password) and sasl.password is None:
        yield (
            "stream.kafka.sasl.password_file",
            None,
            "needs the password: name its file, or set RETAIND_KAFKA_PASSWORD",
        )
    if isinstance(sasl, SaslOauth):
        if (sasl.token_file is None) == (sasl.token_url is None):
            yield "stream.kafka.sasl.token_file", sasl.token_file, "give either token_file or token_url"
        if sasl.token_url is not None and (sasl.client_id is None or sasl.client_secret is None):
            allowed = "token_url needs it, and RETAIND_KAFKA_CLIENT_SECRET or client_secret_file"
            yield "stream.kafka.sasl.client_id", sasl.client_id, allowed


def _topics(config: Config) -> Iterator[Finding]:
    outputs = config.stream.outputs.model_dump()
    read: dict[str, int] = {}
    for index, entry in enumerate(config.stream.inputs):
        key = f"stream.inputs.{index}.topic"
        if entry.topic in read:
            yield key, entry.topic, f"is read by stream.inputs.{read[entry.topic]} already; each topic once"
        read.setdefault(entry.topic, index)
        for name, topic in outputs.items():
            if topic == entry.topic:
                yield key, entry.topic, f"is stream.outputs.{name} too; the daemon must not read its own answers"


def _decoders(config: Config) -> Iterator[Finding]:
    for index, entry in enumerate(config.stream.inputs):
        key, decoder = f"stream.inputs.{index}.decoder", entry.decoder
        if isinstance(decoder, MappedDecoder):
            for name, value, allowed in mapped_problems(decoder, list(config.tasks)):
                yield f"{key}.{name}", value, allowed
        if isinstance(decoder, CloudEventsDecoder):
            for value, task in decoder.task_names.items():
                if task not in config.tasks:
                    yield f"{key}.task_names.{value}", task, f"is not configured; tasks: {', '.join(config.tasks)}"
            if decoder.task_names and decoder.task_from == "data":
                yield f"{key}.task_names", decoder.task_names, "task_from must say of which attribute, for example type"


def _splits(config: Config) -> Iterator[Finding]:
    for name, task in config.tasks.items():
        kept = task.split.validation_ratio + task.split.holdout_ratio
        if kept >= 1:
            yield (
                f"tasks.{name}.split.holdout_ratio",
                task.split.holdout_ratio,
                f"with validation_ratio {task.split.validation_ratio} nothing is left to train; their sum must be < 1",
            )


def _labels(config: Config) -> Iterator[Finding]:
    for name, task in config.tasks.items():
        key = f"tasks.{name}.labels.known"
        known: Sequence[str] = task.labels.known
        if task.labels.mode == "closed" and not known:
            yield key, known, "with labels.mode closed the allowed labels must stand here"
        if len(set(known)) != len(known):
            yield key, known, "each label once"
        described = set(task.labels.descriptions) - set(known)
        if len(known) + len(described) > task.labels.max_labels:
            most = f"more than labels.max_labels {task.labels.max_labels} (those of labels.descriptions count)"
            yield key, f"{len(known) + len(described)} labels", most
        if task.labels.mode == "closed" and described:
            key = f"tasks.{name}.labels.descriptions"
            yield key, sorted(described), "with labels.mode closed only labels of labels.known can be described"


def _strategies(config: Config) -> Iterator[Finding]:
    """By name a version keeps what a strategy hands to the next update."""
    for task, settings in config.tasks.items():
        first: dict[str, int] = {}
        for index, ref in enumerate(settings.strategies):
            if ref.name in first:
                key = f"tasks.{task}.strategies.{index}.name"
                yield key, ref.name, f"stands at strategies.{first[ref.name]} already; each strategy once"
            first.setdefault(ref.name, index)


CHECKS: Sequence[Callable[[Config], Iterator[Finding]]] = (
    _open_door,
    _kafka,
    _topics,
    _decoders,
    _splits,
    _labels,
    _strategies,
)
