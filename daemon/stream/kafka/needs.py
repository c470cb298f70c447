"""What retaind must be allowed on a cluster, by what the configuration says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daemon.config.kafka import Kafka, Password
from daemon.config.stream import Stream

READER = "retaind dlq"
"""Looks at topics; the daemon does without."""


def topics(stream: Stream) -> Mapping[str, Mapping[str, str]]:
    """topic -> operation -> the key that asks for it."""
    made: dict[str, dict[str, str]] = {}
    for index, entry in enumerate(stream.inputs):
        made.setdefault(entry.topic, {})["READ"] = f"stream.inputs.{index}"
    for name, topic in written(stream).items():
        made.setdefault(topic, {})["WRITE"] = f"stream.outputs.{name}"
    if stream.probe_interval_s > 0 and (asked := _asked(stream)):
        made[asked[0]]["WRITE"] = "stream.probe_interval_s"
    return made


def written(stream: Stream) -> Mapping[str, str]:
    """The outputs that something is written to: name -> topic."""
    outputs = stream.outputs
    made = {"dead_letters": outputs.dead_letters, "versions": outputs.versions}
    return made | ({"predictions": outputs.predictions} if _asked(stream) else {})


def groups(stream: Stream) -> Mapping[str, str]:
    """Consumer group -> who uses it."""
    group = stream.kafka.group_id
    predict = {f"{group}.predict": "predict"} if _asked(stream) else {}
    return {group: "ingest", **predict, f"{group}.reader": READER}


def transactional_id(cfg: Kafka) -> str:
    """One that predict would take, or (without ``instance_id``) one with the beginning of those that it takes."""
    return f"{cfg.group_id}.predict.{cfg.instance_id or 'doctor'}"


def grant(cfg: Kafka, operation: str, resource: str) -> str:
    """The command that grants; ``resource``: ``--topic NAME`` and the like."""
    who = cfg.sasl.username if isinstance(cfg.sasl, Password) else "NAME"
    words = f"--allow-principal User:{who} --operation {operation.title().replace('_', '')} {resource}"
    return f"kafka-acls.sh --bootstrap-server {cfg.bootstrap_servers[0]} --add {words}"


def _asked(stream: Stream) -> Sequence[str]:
    return [entry.topic for entry in stream.inputs if entry.predict]
