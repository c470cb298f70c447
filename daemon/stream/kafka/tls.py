"""TLS with a broker, by Python's ssl from the same settings as the client's, so that a refusal has its cause."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime

from daemon.config.kafka import Kafka, Ssl
from daemon.stream.kafka.certificates import now, validity, validity_of_file
from daemon.stream.kafka.obstacle import Obstacle
from daemon.stream.kafka.wire import Wire, connected, secured, split

AUTHORITY = "set stream.kafka.ssl.ca_file to the PEM file of the authority that signed the broker's certificate"
ALERTS: Mapping[str, str] = {
    "CERTIFICATE_REQUIRED": "none was shown",
    "BAD_CERTIFICATE": "bad certificate",
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REVOKED": "it is revoked",
    "CERTIFICATE_UNKNOWN": "it has expired, or its authority is not trusted",
    "UNKNOWN_CA": "its authority is not trusted",
}
"""TLS alerts about retaind's own certificate (RFC 8446 section 6.2)."""


def context(cfg: Kafka) -> ssl.SSLContext:
    """As kafka-python makes it. Raises Obstacle for files that do not do."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = cfg.ssl.check_hostname
    with _reading("ca_file", "PEM file of certificates"):
        if cfg.ssl.ca_file:
            made.load_verify_locations(cfg.ssl.ca_file)
        else:
            made.load_default_certs()
    with _reading("crl_file", "PEM file of revoked certificates"):
        if cfg.ssl.crl_file:
            made.load_verify_locations(cfg.ssl.crl_file)
            made.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if cfg.ssl.cert_file:
        _show_own(made, cfg.ssl)
    return made


def shake_hands(cfg: Kafka, address: str) -> Wire:
    """A verified connection. Raises Obstacle where a certificate is the reason, OSError else."""
    host, made = split(address)[0], context(cfg)
    try:
        sock = secured(connected(address), made, host)
    except ssl.SSLCertVerificationError as error:
        tell = CODES.get(error.verify_code)
        says, mend = tell(cfg, address) if tell else (f"its certificate is not accepted: {error.verify_message}", "")
        raise Obstacle(f"{address}: TLS: {says}", mend or AUTHORITY, denied=True) from None
    except ssl.SSLError as error:
        if refused := own_refused(cfg, address, error):
            raise refused from None
        raise
    until = (sock.getpeercert() or {}).get("notAfter")
    return Wire(sock, ssl.cert_time_to_seconds(str(until)) if until else None)


def own_refused(cfg: Kafka, address: str, error: OSError) -> Obstacle | None:
    """What the broker's alert about retaind's certificate means; None where ``error`` is no such one."""
    reason = (getattr(error, "reason", None) or "").partition("ALERT_")[2]
    if reason not in ALERTS:
        return None
    if cfg.ssl.cert_file is None:
        says = "the broker wants a certificate of retaind's own (mTLS)"
        return Obstacle(
            f"{address}: TLS: {says}", "set stream.kafka.ssl.cert_file and stream.kafka.ssl.key_file", denied=True
        )
    says = f"the broker refuses retaind's certificate, {cfg.ssl.cert_file}: {ALERTS[reason]}"
    mend = "have it renewed, or its authority added to the broker's ssl.truststore"
    return Obstacle(f"{address}: TLS: {says}", mend, denied=True)


def speaks_tls(address: str) -> bool:
    """Whether anything there shakes hands by TLS, whoever it is."""
    try:
        secured(connected(address), _trusting_anybody(), split(address)[0]).close()
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, Obstacle):
        return False
    return True


@contextmanager
def _reading(key: str, wanted: str) -> Iterator[None]:
    """Errors of a file of ``stream.kafka.ssl`` become Obstacle."""
    try:
        yield
    except OSError as error:
        what = f"is no {wanted}" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
        raise Obstacle(f"stream.kafka.ssl.{key}: {what}", f"name a {wanted}") from None


def _show_own(made: ssl.SSLContext, files: Ssl) -> None:
    assert files.cert_file is not None
    try:
        _, last = validity_of_file(files.cert_file)
    except (OSError, ValueError):
        last = now()  # what is wrong with the file is told below
    if last < now():
        says = f"stream.kafka.ssl.cert_file: retaind's certificate has expired ({last:%Y-%m-%d})"
        raise Obstacle(says, "have it renewed", denied=True)
    password = files.key_password.get_secret_value() if files.key_password else ""
    with _reading("cert_file", "PEM file of a certificate whose key is in key_file and opens with key_password_file"):
        made.load_cert_chain(files.cert_file, files.key_file, password)


def _not_now(cfg: Kafka, address: str) -> tuple[str, str]:
    first, last = _shown(address) or (None, None)
    if last and last < now():
        return f"certificate has expired ({last:%Y-%m-%d})", "renew the broker's certificate"
    if first and first > now():
        return f"certificate is valid from {first:%Y-%m-%d %H:%M} UTC on", "set the clock of this machine (NTP)"
    return "a certificate of its chain has expired, or is not valid yet", "renew the broker's chain; check the clock"


def _other_host(cfg: Kafka, address: str) -> tuple[str, str]:
    careless = context(cfg)
    careless.check_hostname = False
    names: list[str] = []
    with suppress(OSError), secured(connected(address), careless, split(address)[0]) as sock:
        names += [str(pair[1]) for pair in (sock.getpeercert() or {}).get("subjectAltName", ())]
    says = f"host name does not match: the certificate is for {', '.join(names) or 'no host'}, not {split(address)[0]}"
    return says, "reach the broker by a name of its certificate, or have this name added to it"


def _unknown_authority(cfg: Kafka, address: str) -> tuple[str, str]:
    known = f"not in {cfg.ssl.ca_file}" if cfg.ssl.ca_file else "not known to this machine"
    return f"unknown CA: the authority that signed its certificate is {known}", AUTHORITY


def _shown(address: str) -> tuple[datetime, datetime] | None:
    """First and last moment of the certificate that is shown there."""
    with suppress(OSError, ValueError), secured(connected(address), _trusting_anybody(), split(address)[0]) as sock:
        return validity(sock.getpeercert(binary_form=True) or b"")
    return None


def _trusting_anybody() -> ssl.SSLContext:
    """For looking at a certificate: nothing is sent over such a connection."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


CODES: Mapping[int, Callable[[Kafka, str], tuple[str, str]]] = {
    **dict.fromkeys((9, 10), _not_now),
    **dict.fromkeys((62, 64), _other_host),
    **dict.fromkeys((2, 18, 19, 20, 21), _unknown_authority),
    3: lambda cfg, address: ("no list of revoked certificates for its authority", "renew stream.kafka.ssl.crl_file"),
    23: lambda cfg, address: ("certificate is revoked", "give the broker a new one"),
}
"""OpenSSL's reason why a certificate is not accepted (X509_V_ERR_*) -> what is said, and its mend."""
