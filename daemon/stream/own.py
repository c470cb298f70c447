"""What retaind itself writes to a topic that it reads: events in our JSON form, whatever decoder the topic has.

Erasures, events and predictions over HTTP, and probes are marked by this header, so that a topic of CloudEvents or of
the user's own schema takes them too.
"""

from __future__ import annotations

from daemon.stream.ports import Record

OWN = ("retaind.event", b"json")
"""The header."""


def is_own(record: Record) -> bool:
    return OWN in record.headers
