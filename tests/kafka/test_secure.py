"""The secure broker: each listener lets in who is right, and refuses who is wrong for the reason that is meant."""

from __future__ import annotations

import re
import uuid
from contextlib import closing
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from tests.kafka.secure import MECHANISMS, USER, SecureBroker, Tokens, token
from tests.kafka.topics import Topics

DOORS: list[tuple[str, str | None]] = [("PLAINTEXT", None), ("SSL", None), ("MTLS", None)]
DOORS += [(listener, mechanism) for listener in ("SASL_PLAINTEXT", "SASL_SSL") for mechanism in MECHANISMS]


def topics_of(client: dict[str, Any]) -> Topics:
    return Topics(client.pop("bootstrap_servers"), **client)


def name() -> str:
    return f"secure.{uuid.uuid4().hex[:8]}"


def refused(broker: SecureBroker, client: dict[str, Any], caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """What kafka-python and the broker say when the client is not let in; the first says why in its log only."""
    before = broker.log.stat().st_size
    with pytest.raises(KafkaTimeoutError):
        KafkaAdminClient(bootstrap_timeout_ms=600, **client)
    return caplog.text, broker.log.read_bytes()[before:].decode()


@pytest.mark.parametrize(("listener", "mechanism"), DOORS)
def test_who_is_right_is_let_in(secure_broker: SecureBroker, listener: str, mechanism: str | None) -> None:
    topics, topic = topics_of(secure_broker.client(listener, mechanism)), name()
    topics.create(topic)
    topics.produce(topic, [b"one"])
    assert [record.value for record in topics.read(topic)] == [b"one"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused(
    secure_broker: SecureBroker, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, broker = refused(secure_broker, secure_broker.client("SASL_SSL", mechanism, password="wrong"), caplog)
    assert re.search(r"Failed authentication with \S+ .*(invalid credentials|Invalid username or password)", broker)


def test_an_expired_token_is_refused(secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture) -> None:
    client = secure_broker.client("SASL_SSL", "OAUTHBEARER")
    _, broker = refused(secure_broker, {**client, "sasl_oauth_token_provider": Tokens(token(-10))}, caplog)
    # kafka-python loses this answer: it sees the connection end
    assert "invalid_token" in broker


def test_an_expired_certificate_is_refused_by_the_client(
    secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = refused(secure_broker, secure_broker.client("EXPIRED"), caplog)
    assert "certificate has expired" in client


def test_a_broker_that_somebody_else_signed_for_is_refused(
    secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture
) -> None:
    trusting = {**secure_broker.client("SSL"), "ssl_cafile": str(secure_broker.certificates.other_ca)}
    client, _ = refused(secure_broker, trusting, caplog)
    assert "CERTIFICATE_VERIFY_FAILED" in client


@pytest.mark.parametrize("pair", [None, "expired_client"])
def test_mutual_tls_wants_a_valid_certificate_of_the_client(
    secure_broker: SecureBroker, pair: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    client = secure_broker.client("MTLS")
    files = secure_broker.certificates
    client["ssl_certfile"] = str(files.certificate(pair)) if pair else None
    client["ssl_keyfile"] = str(files.key(pair)) if pair else None
    _, broker = refused(secure_broker, client, caplog)
    assert "SSL handshake failed" in broker


def test_what_an_acl_denies_is_refused(secure_broker: SecureBroker) -> None:
    # Given a topic that the user may not write to
    topic, root = name(), Topics(secure_broker.bootstrap)
    root.create(topic)
    with closing(root.admin()) as admin:
        pattern = ResourcePattern(ResourceType.TOPIC, topic)
        admin.create_acls([ACL(f"User:{USER}", "*", ACLOperation.WRITE, ACLPermissionType.DENY, pattern)])
    # Then it is refused to that user, and to nobody else
    with pytest.raises(TopicAuthorizationFailedError):
        topics_of(secure_broker.client("SASL_PLAINTEXT", "PLAIN")).produce(topic, [b"no"])
    root.produce(topic, [b"yes"])
