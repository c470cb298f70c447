"""What events come by: is its other end reached, and may retaind do there what it will do?"""

from __future__ import annotations

from collections.abc import Iterator

from daemon.config.stream import Stream
from daemon.doctor.finding import Patient
from daemon.finding import Finding


def reached(patient: Patient) -> Iterator[Finding]:
    """Are the brokers reached, the topics there, the permissions granted?"""
    yield from look_at_stream(patient.config.stream)


def look_at_stream(stream: Stream) -> Iterator[Finding]:
    """Nothing is made or committed. A few seconds at most."""
    if stream.kind == "embedded":
        yield Finding("ok", "the stream is embedded: it lies in the state directory, no broker is needed")
        return
    from daemon.stream.kafka.diagnose import diagnose  # late: kafka-python takes a third of a second

    yield from diagnose(stream)
