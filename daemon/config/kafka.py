"""The configuration's part ``stream.kafka``: where the brokers are, how they are spoken to, and how answers go out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from daemon.config.section import Positive, Section


class Password(Section):
    username: str
    """Who retaind is to the brokers."""
    password_file: Path | None = None
    """File with the password (or RETAIND_KAFKA_PASSWORD in the environment)."""
    password: SecretStr | None = None
    """From the environment or the file only."""


class SaslPlain(Password):
    """User name and password, sent as they are: use it over SASL_SSL."""

    kind: Literal["plain"] = "plain"


class SaslScram256(Password):
    """User name and password, proven without being sent (RFC 7677)."""

    kind: Literal["scram-sha-256"] = "scram-sha-256"


class SaslScram512(Password):
    """User name and password, proven without being sent (RFC 5802 with SHA-512)."""

    kind: Literal["scram-sha-512"] = "scram-sha-512"


class SaslOauth(Section):
    """A bearer token (RFC 7628): from a file that somebody keeps fresh, or asked for with client credentials."""

    kind: Literal["oauthbearer"] = "oauthbearer"
    token_file: Path | None = None
    """File with the token, read anew at every connection."""
    token_url: str | None = None
    """Where a token is asked for (OAuth 2.0 client credentials, RFC 6749 section 4.4)."""
    client_id: str | None = None
    """With ``token_url``: who asks."""
    client_secret_file: Path | None = None
    """File with the client's secret (or RETAIND_KAFKA_CLIENT_SECRET in the environment)."""
    client_secret: SecretStr | None = None
    """From the environment or the file only."""
    scope: str | None = None
    """With ``token_url``: the scope that is asked for."""


class SaslGssapi(Section):
    """Kerberos, with the ticket of this process (kinit, or KRB5_CLIENT_KTNAME); needs the package gssapi."""

    kind: Literal["gssapi"] = "gssapi"
    service_name: str = "kafka"
    """The brokers' service."""
    domain_name: str | None = None
    """The brokers' host name in the realm, where it is not the one that they are reached by."""


Sasl = Annotated[SaslPlain | SaslScram256 | SaslScram512 | SaslOauth | SaslGssapi, Field(discriminator="kind")]


class Ssl(Section):
    """TLS. With ``cert_file`` and ``key_file`` retaind shows a certificate of its own (mTLS)."""

    ca_file: Path | None = None
    """PEM file of the authorities that sign the brokers' certificates; without it, the system's."""
    cert_file: Path | None = None
    """PEM file of retaind's certificate, with its chain."""
    key_file: Path | None = None
    """PEM file of that certificate's key; without it, the key stands in ``cert_file``."""
    key_password_file: Path | None = None
    """File with the key's password (or RETAIND_KAFKA_KEY_PASSWORD in the environment)."""
    key_password: SecretStr | None = None
    """From the environment or the file only."""
    crl_file: Path | None = None
    """PEM file of revoked certificates."""
    check_hostname: bool = True
    """Refuse a broker whose certificate names another host."""


class Kafka(Section):
    bootstrap_servers: list[str] = Field(default=[])
    """host:port of one or more brokers."""
    group_id: str = "retaind"
    """The consumer group of ingest; predict uses this name with ``.predict`` behind it."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How brokers are spoken to."""
    sasl: Sasl | None = None
    """Who retaind is to the brokers; needed with SASL_PLAINTEXT and SASL_SSL."""
    ssl: Ssl = Ssl()
    """Certificates; used with SSL and SASL_SSL."""
    create_topics: bool = False
    """Create topics that are missing, with the brokers' default replication."""
    partitions: Positive = 1
    """Partitions of a topic that is created."""
    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """How predictions go out: ``exactly_once`` by one transaction for the answers and the requests' offsets."""
    instance_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,200}$")
    """This process's lasting name among several predict processes (static membership, transactional id); each needs
    its own. Without it a predict process is a new member at every start."""
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    """Whether records of transactions that were aborted are read."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """How what is written is compressed."""
    request_timeout_s: Annotated[float, Field(ge=1)] = 15
    """How long one answer of a broker may take."""
    session_timeout_s: Annotated[float, Field(ge=1)] = 45
    """A member that is silent for so long loses its partitions."""
    transaction_timeout_s: Annotated[float, Field(ge=1)] = 10
    """With exactly_once: brokers abort a transaction that is open longer than this."""
    max_in_flight_bytes: Annotated[int, Field(ge=1 << 20)] = 32 << 20
    """What may wait for an acknowledgement; a writer waits beyond it."""
