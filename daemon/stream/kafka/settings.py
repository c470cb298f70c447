"""From ``stream.kafka`` to the client's keyword arguments: addresses, timeouts, who we are, certificates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from daemon.config.kafka import Kafka, Password, SaslGssapi, SaslOauth
from daemon.stream.kafka.oauth import Tokens


def common(cfg: Kafka) -> dict[str, Any]:
    """What consumer, producer and admin client share."""
    request_ms = int(cfg.request_timeout_s * 1000)
    return {
        "bootstrap_servers": list(cfg.bootstrap_servers),
        "client_id": "retaind",
        "request_timeout_ms": request_ms,
        "bootstrap_timeout_ms": request_ms,
        "reconnect_backoff_max_ms": 2000,
        **security(cfg),
    }


def security(cfg: Kafka) -> dict[str, Any]:
    """Protocol, SASL and TLS. Secrets are in it: it is for the client alone."""
    settings: dict[str, Any] = {"security_protocol": cfg.security_protocol}
    if cfg.sasl is not None:
        settings |= _SASL[type(cfg.sasl)](cfg.sasl)
    if cfg.security_protocol.endswith("SSL"):
        ssl = cfg.ssl
        files = {"ssl_cafile": ssl.ca_file, "ssl_certfile": ssl.cert_file, "ssl_keyfile": ssl.key_file}
        settings |= {name: str(file) for name, file in {**files, "ssl_crlfile": ssl.crl_file}.items() if file}
        settings["ssl_check_hostname"] = ssl.check_hostname
        settings["ssl_password"] = _plain(ssl.key_password)
    return settings


def _password(sasl: Password) -> dict[str, Any]:
    mechanism = str(sasl.model_dump()["kind"]).upper()
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": sasl.username,
        "sasl_plain_password": _plain(sasl.password),
    }


def _oauth(sasl: SaslOauth) -> dict[str, Any]:
    return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": Tokens(sasl)}


def _gssapi(sasl: SaslGssapi) -> dict[str, Any]:
    return {
        "sasl_mechanism": "GSSAPI",
        "sasl_kerberos_service_name": sasl.service_name,
        "sasl_kerberos_domain_name": sasl.domain_name,
    }


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


_SASL: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    **dict.fromkeys(Password.__subclasses__(), _password),
    SaslOauth: _oauth,
    SaslGssapi: _gssapi,
}
