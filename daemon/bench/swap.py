"""``retaind bench swap``: what requests notice of a thousand swaps.

The predict process of ``retaind run`` answers over HTTP while the alias moves round six versions that differ in
weights and classes. Clients never stop asking. Wrong is an answer that

* carries a version other than the one before and the one after the swap under way,
* carries the version before although its request was sent after the next one had answered, or
* carries scores that its version does not give (each computed beforehand, from the registry, in another process).

A swap that did not happen within a minute fails the bench.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from daemon.bench.client import ask
from daemon.bench.model import TASK, publish_version, tuned_only
from daemon.bench.result import document, shown
from daemon.bench.server import predictor
from daemon.bench.texts import texts
from daemon.errors import RetaindError
from daemon.events import Input
from daemon.registry.store import FileRegistry

SWAPS, QUICK_SWAPS = 1000, 50
VERSIONS, CLIENTS, ASKED = 6, 4, 20
TOP_K = 5
TOLERANCE = 1e-4
"""Of a score; batch-mates change the last digits."""
SWAP_S = 60.0

Scores = Mapping[str, float]


@dataclass(slots=True)
class Watched:
    """What the clients saw. ``before``, ``after``: the versions of the swap under way; ``since``: when its new
    version first answered."""

    expected: Mapping[tuple[str, str], Scores]
    before: str = ""
    after: str = ""
    since: float | None = None
    swapped: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: int = 0
    failed: int = 0
    strange_versions: int = 0
    stale_versions: int = 0
    wrong_scores: int = 0

    def begin(self, before: str, after: str) -> None:
        with self.lock:
            self.before, self.after, self.since = before, after, None
            self.swapped.clear()

    def saw(self, text: str, sent: float, status: int, answer: Mapping[str, Any]) -> None:
        """Count one answer to a request that was ``sent`` then."""
        with self.lock:
            self.requests += 1
            if status != 200:
                self.failed += 1
                return
            version = answer["version"]
            if version not in (self.before, self.after):
                self.strange_versions += 1
            elif version == self.before and self.since is not None and sent > self.since:
                self.stale_versions += 1
            elif version == self.after and self.since is None:
                self.since = time.monotonic()
                self.swapped.set()
            self.wrong_scores += not _same(answer["scores"], self.expected[version, text])

    @property
    def bad(self) -> int:
        return self.failed + self.strange_versions + self.stale_versions + self.wrong_scores


def run(quick: bool) -> dict[str, Any]:
    """``headline``: requests failed or answered by a wrong version."""
    return measure(QUICK_SWAPS if quick else SWAPS)


def measure(swaps: int, *, versions: int = VERSIONS, clients: int = CLIENTS) -> dict[str, Any]:
    """The same with any number of swaps. Raises RetaindError where a swap does not happen."""
    torch.set_num_threads(1)
    asked = [text.text for text in texts(ASKED)]
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        root = Path(directory)
        registry = FileRegistry(root / "state" / "registry")
        ids = [publish_version(registry, root, moved=number + 1).id for number in range(versions)]
        watched = Watched({(name, text): scores for name in ids for text, scores in _expect(registry, name, asked)})
        _promote(registry, ids[0], 0)
        watched.begin(ids[-1], ids[0])
        taken = []
        with predictor(root, head={"kind": "none"}) as server:
            stop = threading.Event()
            threads = [
                threading.Thread(target=_ask, args=(server.port, asked[number:], watched, stop))
                for number in range(clients)
            ]
            for thread in threads:
                thread.start()
            try:
                _wait(watched, ids[0])
                for swap in shown(range(1, swaps + 1), "swapping"):
                    before, after = ids[(swap - 1) % versions], ids[swap % versions]
                    watched.begin(before, after)
                    began = time.monotonic()
                    _promote(registry, after, swap)
                    _wait(watched, after)
                    taken.append(time.monotonic() - began)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
    taken.sort()
    rows = [
        {"what": "requests", "count": watched.requests},
        {"what": "failed", "count": watched.failed},
        {"what": "answered by a version not under way", "count": watched.strange_versions},
        {"what": "answered by the old version after the new one had answered", "count": watched.stale_versions},
        {"what": "scores that their version does not give", "count": watched.wrong_scores},
    ]
    return document(
        watched.bad,
        f"requests failed or answered by a wrong version during {swaps} swaps",
        rows,
        packages=("torch", "transformers", "starlette", "uvicorn"),
        swaps=swaps,
        versions_swapped=versions,
        clients=clients,
        median_seconds_from_promotion_to_answer=round(taken[len(taken) // 2], 3),
        slowest_seconds=round(taken[-1], 3),
    )


def _ask(port: int, asked: Sequence[str], watched: Watched, stop: threading.Event) -> None:
    """Until ``stop``; whatever goes wrong with a request is counted."""
    turn = 0
    while not stop.is_set():
        text, sent = asked[turn % len(asked)], time.monotonic()
        turn += 1
        try:
            status, answer = ask(port, "/v1/predict", {"text": text})
        except OSError:
            status, answer = 0, {}
        watched.saw(text, sent, status, answer)
        time.sleep(0.01)


def _wait(watched: Watched, after: str) -> None:
    if not watched.swapped.wait(SWAP_S):
        raise RetaindError(f"the swap to {after} did not happen within {SWAP_S:g} s")


def _promote(registry: FileRegistry, version: str, number: int) -> None:
    registry.promote(TASK, version, who="bench", why="", time=float(number))


def _expect(registry: FileRegistry, version: str, asked: Sequence[str]) -> list[tuple[str, Scores]]:
    served = tuned_only(registry.load(version))
    answers = served.answer([Input(text=text) for text in asked], TOP_K)
    return [(text, answer["scores"]) for text, answer in zip(asked, answers, strict=True)]


def _same(found: Scores, expected: Scores) -> bool:
    return found.keys() == expected.keys() and all(abs(found[k] - expected[k]) < TOLERANCE for k in expected)
