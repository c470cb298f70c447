"""Exactly once: answers and the questions' offsets in one transaction (KIP-98, fenced by the group: KIP-447)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaProducer
from kafka.errors import FencedInstanceIdError

from daemon.config.kafka import Kafka
from daemon.errors import Fenced, Rebalanced, StreamError, StreamUnavailable
from daemon.stream.kafka.errors import translated
from daemon.stream.kafka.sink import KafkaSink
from daemon.stream.kafka.source import KafkaSource, offsets
from daemon.stream.kafka.watchdog import within
from daemon.stream.ports import OutRecord, TopicPartition


class Transactions:
    """Guarantees, for readers with ``isolation_level`` read_committed:

    1. Answers and offsets of one :meth:`deliver` count together or not at all.
    2. A member of the group that lost a partition cannot commit for it: the group's generation goes with the offsets.
    3. After an error nothing is assumed of the transaction: the producer is thrown away, and the next
       :meth:`prepare` makes the brokers end what was left before anybody reads the committed offsets.
    4. A process that takes this one's name in the group fences it: :class:`~daemon.errors.Fenced`, and it must end.
       That its producer was fenced says less: the brokers do that too to a transaction that took longer than
       ``transaction_timeout_s`` (a stopped machine). Then it is done again, and the group decides.
    5. No step takes longer than ``request_timeout_s`` (a commit can block for minutes after a broker died).
    """

    def __init__(self, cfg: Kafka, source: KafkaSource, role: str) -> None:
        self._cfg, self._source = cfg, source
        self._id = f"{cfg.group_id}.{role}.{cfg.instance_id or uuid.uuid4().hex}"
        self._sink: KafkaSink | None = None

    def prepare(self) -> None:
        self._producer()

    def deliver(self, answers: Sequence[OutRecord], positions: Mapping[TopicPartition, int]) -> None:
        sink, producer = self._producer()
        try:
            self._step("beginning a transaction", producer.begin_transaction)
            if answers:
                sink.send(answers)
                sink.flush(self._cfg.request_timeout_s)
            member = self._source.group_metadata()
            self._step(
                "sending offsets to a transaction",
                lambda: producer.send_offsets_to_transaction(offsets(positions), member),
            )
            self._step("committing a transaction", producer.commit_transaction)
        except Fenced as error:
            self._drop()
            raise self._ended(error) from error
        except Rebalanced:
            self._drop()
            raise
        except StreamError as error:
            self._drop()
            if isinstance(error, StreamUnavailable):
                raise
            raise StreamUnavailable(f"transaction {self._id} is given up and done again: {error}") from error

    def close(self) -> None:
        self._drop()

    def _producer(self) -> tuple[KafkaSink, KafkaProducer]:
        if self._sink is None:
            timeout_ms = int(self._cfg.transaction_timeout_s * 1000)
            sink = KafkaSink(self._cfg, transactional_id=self._id, transaction_timeout_ms=timeout_ms)
            try:
                self._step("taking a transactional id", sink.client().init_transactions)
            except Fenced as error:
                sink.discard()
                raise self._ended(error) from error
            except StreamError:
                sink.discard()
                raise
            self._sink = sink
        return self._sink, self._sink.client()

    def _ended(self, error: Fenced) -> StreamError:
        if isinstance(error.__cause__, FencedInstanceIdError):
            return Fenced(
                f"another process has taken the name of {self._id}; each predict process needs a "
                f"stream.kafka.instance_id of its own ({error})"
            )
        return StreamUnavailable(f"transaction {self._id} was ended by the brokers and is done again: {error}")

    def _drop(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.discard()

    def _step(self, what: str, call: Callable[[], object]) -> None:
        with translated(f"{what} ({self._id})"):
            within(self._cfg.request_timeout_s, what, call)
