"""May retaind do what it will do? Asked of the brokers; no topic is made, no offset committed, no group joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import GroupAuthorizationFailedError, NoError, TransactionalIdAuthorizationFailedError, for_code
from kafka.protocol.consumer import HeartbeatRequest
from kafka.protocol.producer import EndTxnRequest

from daemon.config.stream import Stream
from daemon.errors import StreamDenied
from daemon.finding import Finding, Status
from daemon.stream.kafka import needs
from daemon.stream.kafka.errors import ours
from daemon.stream.kafka.topics import is_missing, mend
from daemon.stream.kafka.wire import Wire

MAX_BYTES, IN_SYNC = "max.message.bytes", "min.insync.replicas"
NOBODY = "retaind-doctor"
"""A member, and with -1 a producer, that no group and no transaction knows: a broker that would let it in answers that
it does not know it, and one that would not says so first."""


def groups(stream: Stream, wire: Wire) -> Iterator[Finding]:
    """May the consumer groups be joined, and transactions be made?"""
    cfg, granted = stream.kafka, []
    for group, who in needs.groups(stream).items():
        asked = HeartbeatRequest(group_id=group, generation_id=-1, member_id=NOBODY, version=1)
        if for_code(wire.ask(asked).error_code) is GroupAuthorizationFailedError:
            says = f"consumer group {group}: READ is not granted ({who})"
            status: Status = "warn" if who == needs.READER else "fail"
            yield Finding(status, says, needs.grant(cfg, "READ", f"--group {group}"))
        else:
            granted.append(group)
    if granted:
        yield Finding("ok", f"consumer groups that may be used: {', '.join(granted)}")
    if cfg.delivery != "exactly_once":
        return
    name = needs.transactional_id(cfg)
    ended = EndTxnRequest(transactional_id=name, producer_id=-1, producer_epoch=-1, committed=False, version=1)
    if for_code(wire.ask(ended).error_code) is TransactionalIdAuthorizationFailedError:
        resource = f"--transactional-id {cfg.group_id}. --resource-pattern-type prefixed"
        yield Finding("fail", f"transactional id {name}: WRITE is not granted", needs.grant(cfg, "WRITE", resource))
    else:
        yield Finding("ok", f"transactional id {name} may be used")


def topics(stream: Stream, admin: KafkaAdminClient) -> Iterator[Finding]:
    """Is every topic there, and may it be read or written?"""
    wanted = needs.topics(stream)
    found = {topic["name"]: topic for topic in admin.describe_topics(list(wanted))}
    for name, operations in wanted.items():
        topic = found.get(name)
        if topic is not None and not is_missing(topic):
            yield from _topic(stream, topic, operations)
        elif stream.kafka.create_topics:
            yield _to_be_made(stream, name, admin)
        else:
            yield Finding("fail", f"topic {name} is missing ({_keys(operations)})", mend(stream.kafka, [name]))
    there = [name for name in needs.written(stream).values() if found.get(name, {}).get("partitions")]
    if there:
        yield from _settings(stream, there, found, admin)


def _topic(stream: Stream, topic: Mapping[str, Any], operations: Mapping[str, str]) -> Iterator[Finding]:
    name, granted, error = topic["name"], topic["authorized_operations"], for_code(topic["error_code"])
    if error is not NoError and not issubclass(ours(error()), StreamDenied):
        yield Finding("fail", f"topic {name}: {error.__name__}", "look at the cluster: it cannot serve this topic now")
        return
    lacking = (
        list(operations) if error is not NoError else [each for each in operations if granted and each not in granted]
    )
    for operation in lacking:
        says = f"topic {name}: {operation} is not granted ({operations[operation]})"
        yield Finding("fail", says, needs.grant(stream.kafka, operation, f"--topic {name}"))
    if not lacking:
        told = " and ".join(operations) if granted else "there; this broker does not tell what is granted on it"
        yield Finding("ok", f"topic {name}: {len(topic['partitions'])} partitions, {told}")


def _to_be_made(stream: Stream, name: str, admin: KafkaAdminClient) -> Finding:
    answer = admin.create_topics([NewTopic(name, stream.kafka.partitions, -1)], validate_only=True, raise_errors=False)
    (topic,) = answer["topics"]
    error = for_code(topic["error_code"])
    if error is NoError:
        return Finding("ok", f"topic {name} is missing, and is made when it is first used (stream.kafka.create_topics)")
    if issubclass(ours(error()), StreamDenied):
        mend_ = needs.grant(stream.kafka, "CREATE", f"--topic {name}")
        return Finding("fail", f"topic {name} is missing, and CREATE is not granted", mend_)
    return Finding("fail", f"topic {name} is missing, and cannot be made: {topic['error_message'] or error.__name__}")


def _settings(
    stream: Stream, names: Sequence[str], found: Mapping[str, Mapping[str, Any]], admin: KafkaAdminClient
) -> Iterator[Finding]:
    """Do the outputs keep what is written?"""
    keys = {MAX_BYTES: None, IN_SYNC: None}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, keys) for name in names]
    told = admin.describe_configs(asked, config_filter="all").get("topic", {})
    for name in names:
        replicas = min(len(each["replica_nodes"]) for each in found[name]["partitions"])
        settings = {key: int(value["value"]) for key, value in told.get(name, {}).items()}
        if not settings:
            mend_ = needs.grant(stream.kafka, "DESCRIBE_CONFIGS", f"--topic {name}")
            yield Finding("warn", f"topic {name}: its settings may not be read, nothing is known of them", mend_)
        elif settings[IN_SYNC] > replicas:
            says = f"topic {name}: {IN_SYNC} {settings[IN_SYNC]} with {replicas} replicas: nothing can be written"
            yield Finding("fail", says, "lower min.insync.replicas, or give the topic more replicas")
        elif replicas == 1 or settings[IN_SYNC] == 1:
            one = "1 replica" if replicas == 1 else f"{IN_SYNC} 1"
            says = f"topic {name}: {one}: a record that was acknowledged can be lost with one broker"
            yield Finding("warn", says, "give it 3 replicas and min.insync.replicas 2")
        if name == stream.outputs.dead_letters and 0 < settings.get(MAX_BYTES, 0) < stream.max_record_bytes:
            says = f"topic {name}: {MAX_BYTES} {settings[MAX_BYTES]} is below stream.max_record_bytes"
            mend_ = f"set it to {stream.max_record_bytes + 65536} or more, else larger dead letters go as references"
            yield Finding("warn", says, mend_)


def _keys(operations: Mapping[str, str]) -> str:
    return ", ".join(operations.values())
