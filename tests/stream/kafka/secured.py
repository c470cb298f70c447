"""``stream.kafka`` for the secure broker's listeners, and for those who are wrong about one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from daemon.config.kafka import Kafka, Sasl, SaslGssapi, SaslOauth, SaslPlain, SaslScram256, SaslScram512, Ssl
from tests.kafka.ports import free_port
from tests.kafka.secure import PASSWORD, USER, SecureBroker, token

WRONG = "wrong-secret"
SECRETS = (PASSWORD, WRONG)


def kafka(broker: SecureBroker, listener: str, sasl: Sasl | None = None, **ssl: Any) -> Kafka:
    """As someone who is right about everything would set it, ``ssl`` apart."""
    files = broker.certificates
    shown: dict[str, Any] = {"ca_file": files.ca}
    if listener == "MTLS":
        shown |= {"cert_file": files.certificate("client"), "key_file": files.key("client")}
    spoken = next(each.protocol for each in broker.ports if each.name == listener)
    made = Kafka(bootstrap_servers=[broker.address(listener)], sasl=sasl, ssl=Ssl(**{**shown, **ssl}))
    return protocol(made, spoken)


def password(kind: type[SaslPlain | SaslScram256 | SaslScram512], secret: str = PASSWORD) -> Sasl:
    return kind(username=USER, password=SecretStr(secret))


def bearer(directory: Path, lifetime_s: float = 3600) -> SaslOauth:
    file = directory / "token"
    file.write_text(token(lifetime_s) + "\n")
    return SaslOauth(token_file=file)


@dataclass(frozen=True, slots=True)
class Mistake:
    """``says`` and ``mend``: regular expressions of what the user is told. ``denied``: refused, not unreachable."""

    name: str
    make: Callable[[SecureBroker, Path], Kafka]
    says: str
    mend: str
    denied: bool = True


def elsewhere(cfg: Kafka, address: str) -> Kafka:
    return cfg.model_copy(update={"bootstrap_servers": [address]})


def protocol(cfg: Kafka, name: str) -> Kafka:
    return cfg.model_copy(update={"security_protocol": name})


MISTAKES = [
    Mistake(
        "unknown_host",
        lambda b, d: Kafka(bootstrap_servers=["no-such-host.invalid:9092"]),
        r"no-such-host.invalid:9092: the host name is not known",
        r"bootstrap_servers.*DNS",
        denied=False,
    ),
    Mistake(
        "nobody_listens",
        lambda b, d: Kafka(bootstrap_servers=[f"127.0.0.1:{free_port()}"]),
        r"127.0.0.1:\d+: connection refused",
        r"start the broker",
        denied=False,
    ),
    Mistake(
        "unknown_authority",
        lambda b, d: kafka(b, "SSL", ca_file=b.certificates.other_ca),
        r"TLS: unknown CA: .* is not in \S+other-ca.crt",
        r"stream.kafka.ssl.ca_file",
    ),
    Mistake(
        "authority_not_given",
        lambda b, d: kafka(b, "SSL", ca_file=None),
        r"TLS: unknown CA: .* is not known to this machine",
        r"stream.kafka.ssl.ca_file",
    ),
    Mistake(
        "expired_certificate",
        lambda b, d: kafka(b, "EXPIRED"),
        r"127.0.0.1:\d+: TLS: certificate has expired \(\d{4}-\d\d-\d\d\)",
        r"renew the broker's certificate",
    ),
    Mistake(
        "own_certificate_required",
        lambda b, d: kafka(b, "MTLS", cert_file=None, key_file=None),
        r"TLS: the broker wants a certificate of retaind's own \(mTLS\)",
        r"stream.kafka.ssl.cert_file and stream.kafka.ssl.key_file",
    ),
    Mistake(
        "own_certificate_expired",
        lambda b, d: kafka(
            b,
            "MTLS",
            cert_file=b.certificates.certificate("expired_client"),
            key_file=b.certificates.key("expired_client"),
        ),
        r"stream.kafka.ssl.cert_file: retaind's certificate has expired \(\d{4}-\d\d-\d\d\)",
        r"have it renewed",
    ),
    Mistake(
        "own_certificate_of_a_stranger",
        lambda b, d: kafka(b, "MTLS", None, **stranger(d)),
        r"TLS: the broker refuses retaind's certificate, \S+stranger.crt: .*not trusted",
        r"ssl.truststore",
    ),
    Mistake(
        "own_key_of_another",
        lambda b, d: kafka(b, "MTLS", key_file=b.certificates.key("server")),
        r"stream.kafka.ssl.cert_file: is no PEM file of a certificate whose key is in key_file",
        r"key_file",
        denied=False,
    ),
    Mistake(
        "plain_to_tls",
        lambda b, d: elsewhere(Kafka(), b.address("SSL")),
        r"speaks TLS there, stream.kafka.security_protocol says PLAINTEXT",
        r"security_protocol: SSL",
        denied=False,
    ),
    Mistake(
        "tls_to_plain",
        lambda b, d: elsewhere(kafka(b, "SSL"), b.address("PLAINTEXT")),
        r"speaks without TLS there",
        r"security_protocol: PLAINTEXT",
        denied=False,
    ),
    Mistake(
        "without_sasl",
        lambda b, d: protocol(kafka(b, "SASL_SSL"), "SSL"),
        r"the broker wants SASL \(.*SCRAM-SHA-512.*\)",
        r"security_protocol: SASL_SSL and stream.kafka.sasl",
    ),
    Mistake(
        "sasl_that_nobody_asked_for",
        lambda b, d: protocol(kafka(b, "SSL", password(SaslPlain)), "SASL_SSL"),
        r"the broker asks for no SASL there",
        r"security_protocol: SSL and leave sasl out",
        denied=False,
    ),
    Mistake(
        "mechanism_that_is_not_offered",
        lambda b, d: kafka(b, "PLAIN_ONLY", password(SaslScram512)),
        r"SASL: the broker does not offer SCRAM-SHA-512, but PLAIN$",
        r"stream.kafka.sasl.kind",
    ),
    *(
        Mistake(
            f"wrong_password_{kind.__name__}",
            lambda b, d, kind=kind: kafka(b, "SASL_SSL", password(kind, WRONG)),  # type: ignore[misc]
            r"SASL \S+: wrong user name or password for 'alice'",
            r"sasl.username, or the password",
        )
        for kind in (SaslPlain, SaslScram256, SaslScram512)
    ),
    Mistake(
        "expired_token",
        lambda b, d: kafka(b, "SASL_SSL", bearer(d, -10)),
        r"SASL OAUTHBEARER: the token is refused .*invalid_token",
        r"renew the token",
    ),
    Mistake(
        "no_token",
        lambda b, d: kafka(b, "SASL_SSL", SaslOauth(token_file=d / "nowhere")),
        r"stream.kafka.sasl.token_file = '\S+nowhere': cannot be read",
        r"what gives the token",
    ),
    Mistake(
        "gssapi_is_not_installed",
        lambda b, d: kafka(b, "SASL_SSL", SaslGssapi()),
        r"SASL GSSAPI: the package gssapi is not installed",
        r"pip install gssapi",
        denied=False,
    ),
]


def stranger(directory: Path) -> dict[str, Any]:
    """A certificate, and its key, that nobody here signed."""
    import trustme

    leaf = trustme.CA().issue_cert("localhost")
    files = {"cert_file": directory / "stranger.crt", "key_file": directory / "stranger.key"}
    leaf.cert_chain_pems[0].write_to_path(files["cert_file"])
    leaf.private_key_pem.write_to_path(files["key_file"])
    return files
