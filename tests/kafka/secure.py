"""A broker with every security protocol that we support, each on a listener of its own."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kafka.net.sasl.oauth import AbstractTokenProvider

from tests.kafka.broker import Broker
from tests.kafka.certificates import Certificates
from tests.kafka.properties import PLAINTEXT, Listener

USER, PASSWORD = "alice", "alice-secret"
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS = ("PLAIN", *SCRAM, "OAUTHBEARER")
LOGIN = "org.apache.kafka.common.security"
JAAS: Mapping[str, str] = {
    "plain": f'{LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "scram-sha-256": f"{LOGIN}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{LOGIN}.scram.ScramLoginModule required;",
    "oauthbearer": f'{LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
}
ACLS: Mapping[str, str] = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "true",
}
"""Who comes by PLAINTEXT may do all, and may grant and deny; others may do what no ACL forbids."""


class SecureBroker(Broker):
    """Listeners: PLAINTEXT (super user), SSL, MTLS, EXPIRED (its certificate is), SASL_PLAINTEXT, SASL_SSL,
    PLAIN_ONLY.

    The SASL ones take all of MECHANISMS (PLAIN_ONLY that one), for USER with PASSWORD; OAUTHBEARER takes unsigned
    tokens (``token``).
    """

    def __init__(self, directory: Path) -> None:
        self.certificates = Certificates(directory / "certificates")
        tls, sasl = self._tls("server"), _sasl()
        listeners = (
            PLAINTEXT,
            Listener("SSL", "SSL", tls),
            Listener("MTLS", "SSL", {**tls, "ssl.client.auth": "required"}),
            Listener("EXPIRED", "SSL", self._tls("expired_server")),
            Listener("SASL_PLAINTEXT", "SASL_PLAINTEXT", sasl),
            Listener("SASL_SSL", "SASL_SSL", {**tls, **sasl}),
            Listener("PLAIN_ONLY", "SASL_PLAINTEXT", {**sasl, "sasl.enabled.mechanisms": "PLAIN"}),
        )
        users = [f"{mechanism}=[name={USER},password={PASSWORD}]" for mechanism in SCRAM]
        super().__init__(directory, listeners=listeners, properties=ACLS, scram=users)

    def client(self, listener: str, mechanism: str | None = None, password: str = PASSWORD) -> dict[str, Any]:
        """kafka-python's settings for a listener, as someone who is right about everything would set them."""
        protocol = next(each.protocol for each in self.ports if each.name == listener)
        made: dict[str, Any] = {"bootstrap_servers": self.address(listener), "security_protocol": protocol}
        if protocol.endswith("SSL"):
            made["ssl_cafile"] = str(self.certificates.ca)
        if listener == "MTLS":
            made["ssl_certfile"] = str(self.certificates.certificate("client"))
            made["ssl_keyfile"] = str(self.certificates.key("client"))
        if mechanism == "OAUTHBEARER":
            made |= {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": Tokens(token())}
        elif mechanism is not None:
            login = {"sasl_plain_username": USER, "sasl_plain_password": password}
            made |= {"sasl_mechanism": mechanism, **login}
        return made

    def _tls(self, name: str) -> Mapping[str, str]:
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.store(name)),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.ca),
        }


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Hands kafka-python one token."""

    def __init__(self, one: str) -> None:
        super().__init__()
        self._one = one

    def token(self) -> str:
        return self._one


def token(lifetime_s: float = 3600) -> str:
    """An unsigned JWT for USER; with a lifetime below 0 one that has expired."""
    now = time.time()
    claims = {"sub": USER, "iat": now - 7200, "exp": now + lifetime_s}
    parts = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, claims))
    return ".".join(parts) + "."


def _sasl() -> Mapping[str, str]:
    jaas = {f"{mechanism}.sasl.jaas.config": module for mechanism, module in JAAS.items()}
    return {"sasl.enabled.mechanisms": ",".join(MECHANISMS), **jaas}
