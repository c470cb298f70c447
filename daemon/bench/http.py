"""``retaind bench http``: what a request costs the server, against FastAPI around a transformers pipeline.

Both servers run in processes of their own, with the same weights, one torch thread each and uvicorn; ours is the
predict process of ``retaind run``. 32 kept connections ask one text a request, in order of arrival, from the
bench's own process. What counts is the CPU time of the serving process: ours at ``predict.precision`` fp32 and int8.
Ours answers with the tuned head alone
(``head: none``), which is what the pipeline computes; see bench serving for what the fast head adds.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from daemon.bench.client import Answer, load
from daemon.bench.model import TASK, publish_version, tuned_only
from daemon.bench.peers import save_classifier
from daemon.bench.result import document, interleave, median
from daemon.bench.server import Server, fastapi_peer, predictor
from daemon.bench.texts import texts
from daemon.errors import RetaindError
from daemon.registry.store import FileRegistry

CONNECTIONS = 32
COUNT, QUICK_COUNT = 1024, 256
OURS, INT8, PEER = "ours: retaind run", "ours: retaind run, int8", "peer: FastAPI + pipeline"
PATHS = {OURS: "/v1/predict", INT8: "/v1/predict", PEER: "/predict"}


def run(quick: bool) -> dict[str, Any]:
    """``headline``: requests per server CPU second at 32 connections, ours with int8 ÷ the peer's."""
    return measure(QUICK_COUNT if quick else COUNT, rounds=3 if quick else 5)


def measure(count: int, *, rounds: int, connections: int = CONNECTIONS) -> dict[str, Any]:
    """The same with any number of requests a round. Raises RetaindError where a request is not answered."""
    bodies = [{"text": text.text} for text in texts(count)]
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        root = Path(directory)
        for side in ("fp32", "int8"):
            (root / side).mkdir()
            registry = FileRegistry(root / side / "state" / "registry")
            version = publish_version(registry, root / side)
            registry.promote(TASK, version.id, who="bench", why="", time=0.0)
        save_classifier(tuned_only(version), root / "peer")
        answers: dict[str, list[Answer]] = {}
        wall: dict[str, list[float]] = {name: [] for name in PATHS}

        def cpu(name: str, server: Server) -> float:
            began, before = time.perf_counter(), server.cpu_seconds()
            answers[name] = load(server.port, PATHS[name], bodies, connections)
            wall[name].append(time.perf_counter() - began)
            return server.cpu_seconds() - before

        with (
            predictor(root / "fp32", head={"kind": "none"}) as ours,
            predictor(root / "int8", precision="int8", head={"kind": "none"}) as int8,
            fastapi_peer(root / "peer") as peer,
        ):
            servers = {OURS: ours, INT8: int8, PEER: peer}
            ways = {name: partial(cpu, name, server) for name, server in servers.items()}
            for way in ways.values():
                way()  # warm
            wall = {name: [] for name in PATHS}
            seconds = interleave(ways, rounds)
    labels = {name: _labels(name, found) for name, found in answers.items()}
    speed = {name: count / median(taken) for name, taken in seconds.items()}
    same = {
        name: sum(a == b for a, b in zip(found, labels[PEER], strict=True)) / count for name, found in labels.items()
    }
    rows = [
        {
            "what": name,
            "requests_per_server_cpu_second": round(speed[name], 1),
            "times_the_peer": round(speed[name] / speed[PEER], 2),
            "cpu_ms_per_request": round(1000 / speed[name], 2),
            "requests_per_second": round(count / median(wall[name]), 1),
            "same_label_as_the_peer_ratio": round(same[name], 4),
        }
        for name in PATHS
    ]
    return document(
        round(speed[INT8] / speed[PEER], 2),
        f"requests per server CPU second at {connections} connections, ours (int8) ÷ FastAPI + pipeline",
        rows,
        packages=("torch", "transformers", "starlette", "uvicorn", "fastapi"),
        requests=count,
        connections=connections,
        rounds=rounds,
        threads=1,
    )


def _labels(name: str, answers: list[Answer]) -> list[str]:
    failed = [answer for answer in answers if answer[0] != 200]
    if failed:
        raise RetaindError(f"{name}: {len(failed)} of {len(answers)} requests failed; the first with {failed[0]}")
    return [str(body["label"]) for _, body in answers]
