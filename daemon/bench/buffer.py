"""``retaind bench buffer``: what a sample costs while the buffer grows, and what an append costs.

The buffer is filled through its own writer with 300-byte events of 150 classes of very different
sizes; every sample has its own seed. The peer is what one would write first: ``ORDER BY random()``
on the same file, interleaved with ours. Appends are durable ones (fsync at each batch of 500).
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apsw

from daemon.bench.result import document, median, shown
from daemon.buffer.ports import Arrival
from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.models import BufferConfig
from daemon.config.task import TaskConfig
from daemon.events import Event, Input, Origin

ROWS, QUICK_ROWS = 5_000_000, 200_000
CLASSES = 150
TEXT_BYTES = 300
FILL_BATCH, BATCH = 5000, 500
SAMPLE = 256
TASK = "bench"
PARTITION = ("bench", 0)


def run(quick: bool) -> dict[str, Any]:
    """Returns ``headline`` (median milliseconds of a class-balanced sample of 256 events), ``rows``
    (one a measurement), the size, the machine and the versions. Needs about 4 GB of disk, ``quick`` 200 MB."""
    return measure(QUICK_ROWS if quick else ROWS, rounds=50, peers=5 if quick else 3)


def measure(size: int, *, rounds: int, peers: int) -> dict[str, Any]:
    """The same with any number of events (at least 2,000), samples and samples by the peer."""
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        path = Path(directory) / "buffer.sqlite"
        writer = SqliteBufferWriter(path, {TASK: TaskConfig()}, BufferConfig(max_bytes=1 << 50), SystemClock())
        try:
            appends = 40 * BATCH if size > 100_000 else BATCH
            filled_s = _fill(writer, range(0, size - appends, FILL_BATCH), size - appends, FILL_BATCH)
            append_s = _fill(writer, range(size - appends, size, BATCH), size, BATCH)
            reader = SqliteBufferReader(path)
            try:
                rows = _samples(reader, path, rounds, peers)
                size_bytes = reader.size_bytes()
            finally:
                reader.close()
        finally:
            writer.close()
    per_second = round(appends / append_s)
    rows.append({"what": f"durable appends, {BATCH} a batch", "events_per_second": per_second})
    rows.append({"what": f"the filling, {FILL_BATCH} a batch", "events_per_second": round((size - appends) / filled_s)})
    return document(
        rows[0]["median_ms"],
        f"ms of a class-balanced sample of {SAMPLE} events",
        rows,
        packages=("apsw",),
        appends_per_second=per_second,
        events=size,
        bytes_per_event=round(size_bytes / size),
    )


def _fill(writer: SqliteBufferWriter, starts: Sequence[int], end: int, batch: int) -> float:
    """Append events in batches; seconds spent in appends."""
    spent = 0.0
    for start in shown(starts, "filling"):
        arrivals = list(_arrivals(start, min(start + batch, end)))
        positions = {PARTITION: (start or None, start + len(arrivals))}
        began = time.perf_counter()
        writer.append(arrivals, positions)
        spent += time.perf_counter() - began
    return spent


def _arrivals(start: int, end: int) -> Iterator[Arrival]:
    draw = random.Random(start)
    for i in range(start, end):
        text = f"event {i} of the bench ".ljust(TEXT_BYTES, "x")
        event = Event(
            id=f"bench-{i}",
            task=TASK,
            time=float(i),
            input=Input(text=text),
            label=f"class {int(draw.random() ** 3 * CLASSES)}",
        )
        key = blake2b(text.encode(), digest_size=16).digest()
        yield Arrival(event, Origin(*PARTITION, i), float(i), key)


def _samples(reader: SqliteBufferReader, path: Path, rounds: int, peers: int) -> list[dict[str, Any]]:
    half = reader.last_seq(TASK) // 2
    plain = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    ways: dict[str, tuple[int, Callable[[int], object]]] = {
        "class-balanced": (rounds, lambda seed: reader.sample(TASK, SAMPLE, balanced=True, seed=seed)),
        "uniform": (rounds, lambda seed: reader.sample(TASK, SAMPLE, balanced=False, seed=seed)),
        "class-balanced, older half": (
            rounds,
            lambda seed: reader.sample(TASK, SAMPLE, balanced=True, seed=seed, before_seq=half),
        ),
        "peer: ORDER BY random()": (
            peers,
            lambda seed: plain.execute(
                "SELECT id, text, label FROM events WHERE label IS NOT NULL AND split = 0 ORDER BY random() LIMIT ?",
                (SAMPLE,),
            ).fetchall(),
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(rounds):
        for name, (times_asked, draw) in ways.items():
            if seed < times_asked:
                began = time.perf_counter()
                draw(seed)
                times[name].append(1000 * (time.perf_counter() - began))
    plain.close()
    return [
        {
            "what": name,
            "median_ms": round(median(taken), 2),
            "slowest_ms": round(max(taken), 2),
            "samples": len(taken),
        }
        for name, taken in times.items()
    ]
