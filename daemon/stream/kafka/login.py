"""SASL with a broker (KIP-43, KIP-152), by kafka-python's own mechanisms and with the broker's own words."""

from __future__ import annotations

from typing import Any

from kafka.errors import (
    IllegalSaslStateError,
    NoError,
    UnsupportedSaslMechanismError,
    for_code,
)
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from daemon.config.kafka import Kafka, Password, SaslGssapi
from daemon.errors import StreamDenied
from daemon.stream.kafka.obstacle import Obstacle
from daemon.stream.kafka.settings import security
from daemon.stream.kafka.wire import Wire, split

STEPS = 8
"""No mechanism takes more exchanges."""


def offered(wire: Wire, mechanism: str = "PLAIN") -> tuple[type[Exception], list[str]]:
    """The broker's answer to the wish for a mechanism, and those that it offers."""
    answer = wire.ask(SaslHandshakeRequest(mechanism=mechanism, version=1))
    return for_code(answer.error_code), list(answer.mechanisms)


def log_in(wire: Wire, cfg: Kafka, address: str) -> None:
    """Authenticate. Raises Obstacle."""
    settings = security(cfg)
    name = settings["sasl_mechanism"]
    mechanism = _mechanism(settings, address)
    try:
        error, mechanisms = offered(wire, name)
    except OSError as closed:
        raise _closed(address, name, closed) from None
    if error is IllegalSaslStateError:
        plain = cfg.security_protocol.removeprefix("SASL_")
        raise Obstacle(
            f"{address}: the broker asks for no SASL there",
            f"set stream.kafka.security_protocol: {plain} and leave sasl out, or use the port of a SASL listener",
        )
    if error is UnsupportedSaslMechanismError or name not in mechanisms:
        raise Obstacle(
            f"{address}: SASL: the broker does not offer {name}, but {', '.join(mechanisms) or 'nothing'}",
            "set stream.kafka.sasl.kind to one of these, or sasl.enabled.mechanisms of the broker",
            denied=True,
        )
    _exchange(wire, mechanism, cfg, address)


def _exchange(wire: Wire, mechanism: Any, cfg: Kafka, address: str) -> None:
    name, said = security(cfg)["sasl_mechanism"], ""
    for _ in range(STEPS):
        if mechanism.is_done():
            return
        try:
            answer = wire.ask(SaslAuthenticateRequest(auth_bytes=mechanism.auth_bytes(), version=0))
        except StreamDenied as no_token:
            raise Obstacle(f"{address}: SASL: {no_token}", "mend what gives the token", denied=True) from None
        except OSError as closed:
            raise _closed(address, name, closed) from None
        if for_code(answer.error_code) is not NoError:
            raise _refused(cfg, address, name, said or answer.error_message or "")
        try:
            mechanism.receive(answer.auth_bytes)
        except ValueError as error:
            raise _refused(cfg, address, name, str(error)) from None
        if name == "OAUTHBEARER":
            said = answer.auth_bytes.decode("utf-8", "replace")  # the reason; the refusal itself comes next


def _refused(cfg: Kafka, address: str, name: str, said: str) -> Obstacle:
    words = f" ({said})" if said else ""
    if isinstance(cfg.sasl, Password):
        return Obstacle(
            f"{address}: SASL {name}: wrong user name or password for {cfg.sasl.username!r}{words}",
            "correct stream.kafka.sasl.username, or the password (stream.kafka.sasl.password_file or "
            "RETAIND_KAFKA_PASSWORD)",
            denied=True,
        )
    if isinstance(cfg.sasl, SaslGssapi):
        mend = "look at klist and at stream.kafka.sasl.service_name"
        return Obstacle(f"{address}: SASL GSSAPI: the ticket is refused{words}", mend, denied=True)
    return Obstacle(
        f"{address}: SASL {name}: the token is refused{words}",
        "renew the token (stream.kafka.sasl.token_file or token_url); issuer, audience and scope must be those that "
        "the cluster expects",
        denied=True,
    )


def _closed(address: str, name: str, error: OSError) -> Obstacle:
    return Obstacle(
        f"{address}: SASL {name}: the broker closed the connection during authentication ({error})",
        "its log says why",
        denied=True,
    )


def _mechanism(settings: dict[str, Any], address: str) -> Any:
    wanted = {key: value for key, value in settings.items() if key.startswith("sasl_")}
    try:
        return get_sasl_mechanism(wanted["sasl_mechanism"])(host=split(address)[0], **wanted)
    except RuntimeError as error:
        raise Obstacle(
            f"SASL {wanted['sasl_mechanism']}: the package gssapi is not installed, or Kerberos' libraries are not "
            f"({error})",
            "install Kerberos (krb5) and the package: pip install gssapi; or choose another stream.kafka.sasl.kind",
        ) from None
    except Exception as error:  # noqa: BLE001 - gssapi's errors have no ancestor that can be named without it
        raise Obstacle(
            f"SASL {wanted['sasl_mechanism']}: {error}", "get a ticket (kinit, or KRB5_CLIENT_KTNAME)", denied=True
        ) from None
