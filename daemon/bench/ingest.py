"""``retaind bench ingest``: events that are durable, against a consumer that only counts them.

A topic is filled with labelled events of 300 bytes, each new. Ours is the ingest role over Kafka's source, as
``retaind run`` has it: decoding, validation, lookup of revisions, split, counters, one transaction per poll with
``synchronous=FULL``, commit. The peer is a loop around kafka-python's ``poll`` that does nothing with what it
gets. Both read all of it, in this process, from the first offset, as a group of their own.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition

from daemon.app import Rooms, make_ingest
from daemon.bench.result import document, interleave, median, shown
from daemon.config.kafka import Kafka
from daemon.config.models import Config
from daemon.errors import RetaindError
from daemon.stream.kafka import KafkaSink
from daemon.stream.kafka.settings import common
from daemon.stream.ports import OutRecord

COUNT, QUICK_COUNT = 200_000, 50_000
PARTITIONS = 4
BYTES = 300
CLASSES = 50
AT_ONCE = 5000
PATIENCE_S = 60.0
OURS, PEER = "ours: stored events", "peer: kafka-python, counting"


def run(quick: bool, kafka: Kafka) -> dict[str, Any]:
    """``headline``: durable events per second, ours ÷ a bare kafka-python consumer loop.

    Needs brokers, whose topic ``retaind.bench.…`` stays. Raises StreamUnavailable.
    """
    return measure(QUICK_COUNT if quick else COUNT, kafka, rounds=3 if quick else 5)


def measure(count: int, kafka: Kafka, *, rounds: int) -> dict[str, Any]:
    """The same with any number of events."""
    topic = f"retaind.bench.{uuid.uuid4().hex[:8]}"
    cfg = kafka.model_copy(update={"create_topics": True, "partitions": PARTITIONS})
    _fill(cfg, topic, count)
    cpu: dict[str, list[float]] = {OURS: [], PEER: []}

    def timed(name: str, way: Callable[[], None]) -> float:
        began, before = time.perf_counter(), time.process_time()
        way()
        cpu[name].append(time.process_time() - before)
        return time.perf_counter() - began

    ways = {OURS: partial(_ours, cfg, topic, count), PEER: partial(_peer, cfg, topic, count)}
    seconds = interleave({name: partial(timed, name, way) for name, way in ways.items()}, rounds)
    speed = {name: count / median(taken) for name, taken in seconds.items()}
    rows = [
        {
            "what": name,
            "events_per_second": round(speed[name]),
            "of_the_peer": round(speed[name] / speed[PEER], 2),
            "events_per_cpu_second": round(count / median(cpu[name])),
        }
        for name in ways
    ]
    return document(
        round(speed[OURS] / speed[PEER], 2),
        "durable events per second, ours ÷ a bare kafka-python consumer loop",
        rows,
        packages=("kafka-python", "crc32c", "apsw", "orjson"),
        events=count,
        bytes=BYTES,
        partitions=PARTITIONS,
        rounds=rounds,
    )


def _fill(cfg: Kafka, topic: str, count: int) -> None:
    sink = KafkaSink(cfg)
    try:
        for start in shown(range(0, count, AT_ONCE), "producing"):
            sink.send([_record(topic, number) for number in range(start, min(count, start + AT_ONCE))])
            sink.flush(PATIENCE_S)
    finally:
        sink.close()


def _record(topic: str, number: int) -> OutRecord:
    body: dict[str, object] = {"id": f"bench-{number}", "time": "2026-11-24T10:00:00Z", "source": "bench", "text": ""}
    body["label"] = f"class_{number % CLASSES}"
    filler = f"the customer of order {number} says that the parcel never arrived and asks for the money "
    body["text"] = (filler * 4)[: BYTES - len(orjson.dumps(body))]
    return OutRecord(topic, orjson.dumps(body), str(body["id"]).encode())


def _ours(cfg: Kafka, topic: str, count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        group = f"{topic}.{uuid.uuid4().hex[:8]}"
        stream = {
            "kind": "kafka",
            "inputs": [{"topic": topic}],
            "kafka": cfg.model_copy(update={"group_id": group}),
        }
        config = Config.model_validate({"state_dir": Path(directory), "stream": stream, "tasks": {"bench": {}}})
        rooms = Rooms.make(config)
        role = make_ingest(rooms, rooms.ends.member([topic], "ingest"), rooms.ends.sink())
        reader = None
        try:
            deadline = time.monotonic() + PATIENCE_S
            stored = 0
            while stored < count:
                if role.step(0.2):
                    deadline = time.monotonic() + PATIENCE_S
                elif time.monotonic() > deadline:
                    raise RetaindError(f"{topic}: nothing came for {PATIENCE_S:g} s; {stored} of {count} are stored")
                reader = reader or rooms.reader()
                stored = sum(end for (_, _), end in reader.positions().items())
            events = reader.stats("bench").events if reader is not None else 0
            if events != count:
                raise RetaindError(f"{events} of {count} events are stored")
        finally:
            if reader is not None:
                reader.close()
            role.close()


def _peer(cfg: Kafka, topic: str, count: int) -> None:
    consumer = KafkaConsumer(
        **common(cfg),
        group_id=f"{topic}.{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=500,
    )
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        seen, deadline = 0, time.monotonic() + PATIENCE_S
        while seen < count:
            found = sum(len(records) for records in consumer.poll(timeout_ms=200).values())
            seen += found
            if found:
                deadline = time.monotonic() + PATIENCE_S
            elif time.monotonic() > deadline:
                raise RetaindError(f"{topic}: nothing came for {PATIENCE_S:g} s; {seen} of {count} were read")
    finally:
        consumer.close()
