"""How answers go out: first they are durable, then the questions count as answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daemon.stream.ports import OutRecord, Sink, Source, TopicPartition

FLUSH_S = 10.0


class AtLeastOnce:
    """Guarantee: positions are committed only after every answer is acknowledged. Between the two, an end of the
    process makes the same answers be given again; a prediction's id tells that it is the same one."""

    def __init__(self, source: Source, sink: Sink) -> None:
        self._source, self._sink = source, sink

    def prepare(self) -> None:
        return

    def deliver(self, answers: Sequence[OutRecord], positions: Mapping[TopicPartition, int]) -> None:
        if answers:
            self._sink.send(answers)
            self._sink.flush(FLUSH_S)
        self._source.commit(positions)

    def close(self) -> None:
        """Closes the sink, which is its own."""
        self._sink.close()
