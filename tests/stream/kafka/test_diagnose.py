"""What ``retaind doctor`` and ``check-config --connect`` find on a cluster."""

from __future__ import annotations

import re
import socket
import ssl
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from kafka.admin import ACL, ACLFilter, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from daemon.config.kafka import Kafka, SaslPlain, Ssl
from daemon.config.stream import InputTopic, Outputs, Stream
from daemon.finding import Finding, worst
from daemon.stream.kafka import wire
from daemon.stream.kafka.diagnose import diagnose
from tests.kafka.fixtures import MakeTopic
from tests.kafka.ports import free_port
from tests.kafka.secure import USER, SecureBroker
from tests.kafka.topics import Topics
from tests.stream.kafka.proxy import Proxy
from tests.stream.kafka.secured import MISTAKES, SECRETS, Mistake, kafka, password

NAMES = ("labelled", "requests", "predictions", "dead_letters", "versions")


def stream(cfg: Kafka, topics: Mapping[str, str], **settings: Any) -> Stream:
    """Labelled events and requests in, all three outputs."""
    return Stream(
        kind="kafka",
        inputs=[InputTopic(topic=topics["labelled"]), InputTopic(topic=topics["requests"], predict=True)],
        outputs=Outputs(**{name: topics[name] for name in NAMES[2:]}),
        kafka=cfg.model_copy(update={"group_id": topics["labelled"]}),
        **settings,
    )


def bad(findings: Iterator[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status != "ok"]


def one(found: list[Finding], says: str) -> Finding:
    (finding,) = [finding for finding in found if re.search(says, finding.says)]
    return finding


@pytest.fixture
def names() -> Mapping[str, str]:
    prefix = f"d{uuid.uuid4().hex[:8]}"
    return {name: f"{prefix}.{name}" for name in NAMES}


@pytest.fixture
def mine(secure_broker: SecureBroker, names: Mapping[str, str]) -> Mapping[str, str]:
    """All five topics, made on the secure broker."""
    for name in names.values():
        Topics(secure_broker.bootstrap).create(name)
    return names


def alice(broker: SecureBroker) -> Kafka:
    return kafka(broker, "SASL_SSL", password(SaslPlain))


@contextmanager
def acls(broker: SecureBroker, *rules: tuple[ResourceType, str, ACLOperation, ACLPermissionType]) -> Iterator[None]:
    """ACLs for alice, gone afterwards. Where a thing has any, what none of them allows is denied."""
    made = [(*rule[2:], ResourcePattern(*rule[:2])) for rule in rules]
    with closing(Topics(broker.bootstrap).admin()) as admin:
        admin.create_acls([ACL(f"User:{USER}", "*", *each) for each in made])
        try:
            yield
        finally:
            admin.delete_acls([ACLFilter(f"User:{USER}", "*", *each) for each in made])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each.name)
def test_given_a_mistake_when_diagnosed_then_it_is_told_with_its_mend(
    secure_broker: SecureBroker, tmp_path: Path, names: Mapping[str, str], mistake: Mistake
) -> None:
    found = list(diagnose(stream(mistake.make(secure_broker, tmp_path), names)))
    (finding,) = found
    assert finding.status == "fail"
    assert re.search(mistake.says, finding.says), finding
    assert re.search(mistake.mend, finding.mend), finding
    assert not [secret for secret in SECRETS if secret in repr(found)]


def test_given_a_cluster_that_is_well_when_diagnosed_then_only_replication_is_warned_of_and_nothing_is_changed(
    secure_broker: SecureBroker, mine: Mapping[str, str]
) -> None:
    with closing(Topics(secure_broker.bootstrap).admin()) as admin:
        before = sorted(admin.list_topics()), sorted(map(str, admin.list_groups()))
        # When everything is asked, exactly once too
        cfg = alice(secure_broker).model_copy(update={"delivery": "exactly_once"})
        found = list(diagnose(stream(cfg, mine, max_record_bytes=1 << 19)))
        # Then all that is not ok is what one broker cannot give
        assert {finding.says.split(": ", 1)[1] for finding in bad(iter(found))} == {
            "1 replica: a record that was acknowledged can be lost with one broker"
        }
        assert worst(found) == "warn"
        for words in ("logged in by SASL plain", "consumer groups", "transactional id", "READ", "WRITE"):
            assert any(words in finding.says for finding in found if finding.status == "ok"), words
        # And no topic, no group and nothing of theirs is new
        assert (sorted(admin.list_topics()), sorted(map(str, admin.list_groups()))) == before


def test_given_missing_topics_when_diagnosed_then_the_command_and_the_setting_that_make_them_are_told(
    secure_broker: SecureBroker, names: Mapping[str, str]
) -> None:
    found = bad(diagnose(stream(alice(secure_broker), names)))
    assert len(found) == len(NAMES)
    finding = one(found, rf"topic {names['labelled']} is missing \(stream.inputs.0\)")
    assert f"--create --topic {names['labelled']} --partitions 1" in finding.mend
    assert "stream.kafka.create_topics: true" in finding.mend


def test_given_create_topics_when_diagnosed_then_a_missing_topic_is_fine_unless_it_may_not_be_made(
    secure_broker: SecureBroker, names: Mapping[str, str]
) -> None:
    # Given that only some topics may be made
    may = [(ResourceType.TOPIC, name, ACLOperation.CREATE, ACLPermissionType.ALLOW) for name in names.values()]
    describe = [(what, name, ACLOperation.DESCRIBE, kind) for what, name, _, kind in may]
    cluster = (ResourceType.CLUSTER, "kafka-cluster", ACLOperation.DESCRIBE, ACLPermissionType.ALLOW)
    cfg = alice(secure_broker).model_copy(update={"create_topics": True})
    # When it is diagnosed
    with acls(secure_broker, *may[:-1], *describe, cluster):
        (finding,) = bad(diagnose(stream(cfg, names)))
    # Then the one that may not is told
    assert finding.says == f"topic {names['versions']} is missing, and CREATE is not granted"
    assert f"--operation Create --topic {names['versions']}" in finding.mend
    # And none was made
    with closing(Topics(secure_broker.bootstrap).admin()) as admin:
        assert not set(admin.list_topics()) & set(names.values())


def test_given_acls_that_forbid_when_diagnosed_then_each_is_named_with_the_command_that_grants_it(
    secure_broker: SecureBroker, mine: Mapping[str, str]
) -> None:
    # Given a user who may not read one topic, not write another, not use a group, nor a transactional id
    may, not_ = ACLPermissionType.ALLOW, ACLPermissionType.DENY
    group = mine["labelled"]
    rules = (
        (ResourceType.TOPIC, mine["labelled"], ACLOperation.WRITE, may),
        (ResourceType.TOPIC, mine["labelled"], ACLOperation.READ, not_),
        (ResourceType.TOPIC, mine["dead_letters"], ACLOperation.READ, may),
        (ResourceType.TOPIC, mine["dead_letters"], ACLOperation.WRITE, not_),
        (ResourceType.TOPIC, mine["requests"], ACLOperation.DESCRIBE, not_),
        (ResourceType.GROUP, f"{group}.predict", ACLOperation.READ, not_),
        (ResourceType.GROUP, f"{group}.reader", ACLOperation.READ, not_),
        (ResourceType.TRANSACTIONAL_ID, f"{group}.predict.p1", ACLOperation.WRITE, not_),
    )
    cfg = alice(secure_broker).model_copy(update={"delivery": "exactly_once", "instance_id": "p1"})
    # When it is diagnosed
    with acls(secure_broker, *rules):
        everything = bad(diagnose(stream(cfg, mine)))
    # Then each is there, and what the daemon does without is a warning
    assert one(everything, rf"group {group}.reader: READ is not granted \(retaind dlq\)").status == "warn"
    found = [finding for finding in everything if finding.status == "fail"]
    told = {
        rf"topic {mine['labelled']}: READ is not granted \(stream.inputs.0\)": f"Read --topic {mine['labelled']}",
        rf"topic {mine['requests']}: READ is not granted \(stream.inputs.1\)": f"Read --topic {mine['requests']}",
        rf"topic {mine['dead_letters']}: WRITE is not granted": f"Write --topic {mine['dead_letters']}",
        rf"consumer group {group}.predict: READ is not granted": f"Read --group {group}.predict",
        rf"transactional id {group}.predict.p1: WRITE is not granted": f"Write --transactional-id {group}.",
    }
    assert len(found) == len(told)
    for says, command in told.items():
        mend = one(found, says).mend
        assert mend.startswith(f"kafka-acls.sh --bootstrap-server {secure_broker.address('SASL_SSL')} --add")
        assert f"--allow-principal User:{USER}" in mend
        assert command in mend


def test_given_topics_that_do_not_keep_what_is_written_when_diagnosed_then_it_is_told(
    kafka: str, topic: MakeTopic
) -> None:
    # Given dead letters that may not be as large as records, and predictions that want more replicas than there are
    made = {name: topic(name) for name in ("labelled", "requests", "versions")}
    made["dead_letters"] = topic("dead_letters", 1, {"max.message.bytes": "20000"})
    made["predictions"] = topic("predictions", 1, {"min.insync.replicas": "2"})
    found = bad(diagnose(stream(Kafka(bootstrap_servers=[kafka]), made)))
    small = one(found, r"max.message.bytes 20000 is below stream.max_record_bytes")
    assert (small.status, str((1 << 20) + 65536) in small.mend) == ("warn", True)
    assert one(found, r"min.insync.replicas 2 with 1 replicas: nothing can be written").status == "fail"


def test_given_one_bootstrap_server_of_two_when_diagnosed_then_the_other_is_a_warning(
    kafka: str, topic: MakeTopic
) -> None:
    made = {name: topic(name) for name in NAMES}
    absent = f"127.0.0.1:{free_port()}"
    found = list(diagnose(stream(Kafka(bootstrap_servers=[absent, kafka]), made)))
    assert one(found, rf"{absent}: connection refused").status == "warn"
    assert worst(found) == "warn"


def server(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


def test_given_a_certificate_near_its_end_and_an_advertised_address_of_another_kind_when_diagnosed_then_both_are_told(
    kafka: str, names: Mapping[str, str], tmp_path: Path
) -> None:
    # Given TLS that a proxy ends, before a broker that advertises its own plain address
    authority, ends = trustme.CA(), datetime.now(UTC) + timedelta(days=3)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Proxy(kafka, server(authority.issue_cert("127.0.0.1", not_after=ends))) as proxy:
        files = Ssl(ca_file=tmp_path / "ca.pem")
        cfg = Kafka(bootstrap_servers=[proxy.address], security_protocol="SSL", ssl=files)
        found = bad(diagnose(stream(cfg, names)))
    soon = one(found, rf"TLS: certificate expires on {ends:%Y-%m-%d}")
    trap = one(found, rf"broker 1 is advertised as {kafka}, and there: .*speaks without TLS")
    assert (soon.status, trap.status, len(found)) == ("warn", "fail", 2)
    assert "advertised.listeners of broker 1" in trap.mend


def test_given_a_certificate_of_another_host_when_diagnosed_then_the_names_are_told(
    names: Mapping[str, str], tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    cfg = Kafka(security_protocol="SSL", ssl=Ssl(ca_file=tmp_path / "ca.pem"))
    with Proxy("127.0.0.1:1", server(authority.issue_cert("kafka-1.example"))) as proxy:
        (finding,) = diagnose(stream(cfg.model_copy(update={"bootstrap_servers": [proxy.address]}), names))
    assert "host name does not match: the certificate is for kafka-1.example, not 127.0.0.1" in finding.says
    assert "reach the broker by a name of its certificate" in finding.mend


def test_given_a_port_that_never_answers_when_diagnosed_then_it_is_told_and_bounded(
    names: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        (finding,) = diagnose(stream(Kafka(bootstrap_servers=[address]), names))
    assert f"{address}: the connection is accepted, but there is no answer" in finding.says


def test_given_a_password_without_tls_and_reading_of_what_was_aborted_when_diagnosed_then_both_are_warned_of(
    secure_broker: SecureBroker, mine: Mapping[str, str]
) -> None:
    cfg = kafka(secure_broker, "SASL_PLAINTEXT", password(SaslPlain)).model_copy(
        update={"delivery": "exactly_once", "isolation_level": "read_uncommitted"}
    )
    found = bad(diagnose(stream(cfg, mine)))
    assert "SASL_SSL" in one(found, "the password crosses the network").mend
    assert "read_committed" in one(found, "aborted transactions are read").mend
