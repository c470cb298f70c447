"""W3C Trace Context: what a request's record says of its trace goes on with its prediction.

Read in this order: header ``traceparent``, header ``ce_traceparent`` (CloudEvents, binary), attribute ``traceparent``
of a structured CloudEvent; ``tracestate`` from the same place. What is malformed is dropped, never an error. Nothing
is added to a trace: retaind makes no spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from daemon.errors import DecodeError
from daemon.stream.fields import read_object
from daemon.stream.ports import Headers, Record

PARENT, STATE = "traceparent", "tracestate"
MAX_STATE_CHARS = 512
MAX_MEMBERS = 32

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,200})?")
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")


def trace_headers(record: Record) -> Headers:
    """``traceparent``, and ``tracestate`` behind it where there is one; empty without a trace."""
    for parent, state in _places(record):
        found = trace_of(parent, state)
        if found:
            return found
    return ()


def trace_of(parent: str | None, state: str | None) -> Headers:
    """The same of two texts, HTTP's headers for example."""
    if parent is None or not is_traceparent(parent := parent.strip()):
        return ()
    kept = None if state is None else _valid_state(state)
    return ((PARENT, parent.encode()), *(((STATE, kept.encode()),) if kept else ()))


def is_traceparent(text: str) -> bool:
    """Of version 00, or of a later one as far as it can be read."""
    found = _PARENT.fullmatch(text)
    return found is not None and (found[1] != "00" or found[2] is None)


def _valid_state(text: str) -> str | None:
    members = [member for part in text.split(",") if (member := part.strip())]
    keys = [member.partition("=")[0] for member in members]
    good = len(members) <= MAX_MEMBERS and len(set(keys)) == len(keys) and len(text) <= MAX_STATE_CHARS
    return ",".join(members) if good and all(_MEMBER.fullmatch(member) for member in members) else None


def _places(record: Record) -> Iterator[tuple[str | None, str | None]]:
    headers = _ascii(record.headers)
    yield headers.get(PARENT), headers.get(STATE)
    yield headers.get(f"ce_{PARENT}"), headers.get(f"ce_{STATE}")
    attributes = _attributes(record.value)
    parent, state = attributes.get(PARENT), attributes.get(STATE)
    yield (parent if isinstance(parent, str) else None), (state if isinstance(state, str) else None)


def _ascii(headers: Headers) -> Mapping[str, str]:
    """name in lower case -> text; several ``tracestate`` are one list, of the others the last counts."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if not key.endswith((PARENT, STATE)) or not value.isascii():
            continue
        text = value.decode()
        found[key] = f"{found[key]},{text}" if key.endswith(STATE) and key in found else text
    return found


def _attributes(value: bytes | None) -> Mapping[str, Any]:
    """Those of a structured CloudEvent; looked for only where the word stands in the value."""
    if value is None or b'"traceparent"' not in value or b'"specversion"' not in value:
        return {}
    try:
        found = read_object(value)
    except DecodeError:
        return {}
    return found if "specversion" in found else {}
