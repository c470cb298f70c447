"""A producer that goes on whatever the brokers do, and knows what they acknowledged."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from tests.kafka.traffic import Message, Traffic

ACK_S = 20
CLOSE_S = 5
LEFT: list[KafkaProducer] = []


class Feed(threading.Thread):
    """Sends ``events`` fresh events of ``traffic`` with acks=all, ``at_once`` in a batch, ``per_second`` at most.

    A batch that is not wholly acknowledged is sent again, by a new client: an event may stand in its topic twice.
    One batch in ``transactions`` (0: none) is a transaction, and one in three of these is aborted.
    ``acknowledged``: the messages that are; ``aborted``: those of transactions that were.
    """

    def __init__(
        self,
        bootstrap: str,
        traffic: Traffic,
        draw: random.Random,
        *,
        events: int,
        per_second: float,
        at_once: int = 100,
        transactions: int = 0,
    ) -> None:
        super().__init__(name="feed", daemon=True)
        self.acknowledged: list[Message] = []
        self.aborted: list[Message] = []
        self.retried = 0
        self.failure: BaseException | None = None
        self._to, self._traffic, self._draw = bootstrap, traffic, draw
        self._events, self._pause_s = events, at_once / per_second
        self._at_once, self._transactions = at_once, transactions
        self._clients: dict[bool, KafkaProducer] = {}
        self._over = threading.Event()

    def run(self) -> None:
        try:
            while self._traffic.made < self._events and not self._over.is_set():
                started = time.monotonic()
                messages = self._traffic.batch(self._at_once)
                transactional = bool(self._transactions) and self._draw.randrange(self._transactions) == 0
                keep = not (transactional and self._draw.random() < 1 / 3)
                while not self._deliver(messages, transactional, keep):
                    self.retried += 1
                (self.acknowledged if keep else self.aborted).extend(messages)
                self._over.wait(max(0.0, self._pause_s - (time.monotonic() - started)))
        except BaseException as error:  # noqa: BLE001 - told by end()
            self.failure = error
        finally:
            for transactional in list(self._clients):
                self._discard(transactional)

    def end(self, timeout_s: float) -> None:
        """Wait until all is sent. Raises what ended it early."""
        self.join(timeout_s)
        late = self.is_alive()
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure
        assert not late, f"{self._traffic.made} of {self._events} events were sent within {timeout_s} s"

    def stop(self) -> None:
        """No more than what is on its way."""
        self._over.set()
        if self.is_alive():
            self.join()

    def _deliver(self, messages: Sequence[Message], transactional: bool, keep: bool) -> bool:
        try:
            client = self._client(transactional)
            if transactional:
                client.begin_transaction()
            sent = [client.send(message.topic, message.value, key=message.key) for message in messages]
            for future in sent:
                future.get(ACK_S)
            if transactional:
                (client.commit_transaction if keep else client.abort_transaction)()
        except KafkaError:
            self._discard(transactional)
            return False
        return True

    def _client(self, transactional: bool) -> KafkaProducer:
        if transactional not in self._clients:
            more: dict[str, Any] = {"transactional_id": f"feed-{id(self)}"} if transactional else {}
            client = KafkaProducer(
                bootstrap_servers=self._to,
                acks="all",
                linger_ms=5,
                bootstrap_timeout_ms=5000,
                max_block_ms=20_000,
                **more,
            )
            self._clients[transactional] = client
            if transactional:
                client.init_transactions()
        return self._clients[transactional]

    def _discard(self, transactional: bool) -> None:
        """A close may hang where a broker has died in mid-transaction: it is left to itself, and kept, since the end of
        what was not closed closes it again, and raises."""
        client = self._clients.pop(transactional, None)
        if client is not None:
            LEFT.append(client)
            thread = threading.Thread(target=_close, args=(client,), daemon=True)
            thread.start()
            thread.join(CLOSE_S)


def _close(client: KafkaProducer) -> None:
    with suppress(KafkaError, ValueError):
        client.close(timeout=CLOSE_S / 2)
