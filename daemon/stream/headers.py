"""Record headers as one blob: JSON of [[name, base64], …]; empty where there are none."""

from __future__ import annotations

import base64

import orjson

from daemon.stream.ports import Headers


def pack_headers(headers: Headers) -> bytes | None:
    if not headers:
        return None
    return orjson.dumps([[name, base64.b64encode(value).decode()] for name, value in headers])


def unpack_headers(blob: bytes | None) -> Headers:
    return tuple((name, base64.b64decode(value)) for name, value in orjson.loads(blob)) if blob else ()
