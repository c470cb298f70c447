"""Kafka, by kafka-python; nothing else in retaind imports it.

Guarantees, on top of what the cluster gives:

1. A record that :meth:`KafkaSink.flush` returned for is acknowledged by all replicas in sync. The producer is
   idempotent: its own retries write nothing twice.
2. A partition yields records from where it was placed, never from where the client or the group would have
   begun; a partition dealt anew yields nothing before it was placed anew.
3. No call waits without end: those that the client does not bound are bounded by a watchdog.
4. What waits for an acknowledgement is bounded (``max_in_flight_bytes``).
5. Every error of the client is one of :mod:`daemon.errors`.
"""

from daemon.stream.kafka.sink import KafkaSink
from daemon.stream.kafka.source import KafkaSource
from daemon.stream.kafka.transactions import Transactions

__all__ = ["KafkaSink", "KafkaSource", "Transactions"]
