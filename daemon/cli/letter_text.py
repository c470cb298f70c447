"""Dead letters as lines and documents. What they hold came from outside: nothing of it reaches a terminal raw."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from daemon.roles.letter import Letter, place_text
from daemon.stream.rfc3339 import format_time

FIRST_BYTES = 80


def row(letter: Letter) -> dict[str, Any]:
    """One letter of a list."""
    return {
        "place": place_text(letter.place),
        "found": None if letter.found is None else place_text(letter.found),
        "time": format_time(letter.time),
        "reason": letter.reason,
        "message": letter.message,
        "key": None if letter.key is None else text_of(letter.key),
        "first_bytes": text_of((letter.value or b"")[:FIRST_BYTES]),
        "size_bytes": letter.size,
        "reference": letter.is_reference,
        "replayed": letter.replayed,
    }


def table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = [("place", "time", "reason", "message", "first bytes")]
    for item in rows:
        marks = "reference" if item["reference"] else item["first_bytes"]
        again = f" (replayed {item['replayed']}x)" if item["replayed"] else ""
        lines.append((item["place"], item["time"][:19], item["reason"] + again, item["message"], marks))
    cut = [(place, when, reason, plain(message, 60), plain(first, 40)) for place, when, reason, message, first in lines]
    widths = [max(len(line[column]) for line in cut) for column in range(4)]
    return ["  ".join([*(line[n].ljust(widths[n]) for n in range(4)), line[4]]).rstrip() for line in cut]


def whole(letter: Letter) -> dict[str, Any]:
    """Everything of one letter; a value or header that is not UTF-8 is in base64 under ``…_base64``."""
    headers = [{"name": name, **_bytes("value", value)} for name, value in letter.headers]
    return {**row(letter), "headers": headers, **_bytes("key", letter.key), **_bytes("value", letter.value)}


def whole_text(letter: Letter) -> str:
    found = "waits in the outbox" if letter.found is None else f"lies at {place_text(letter.found)}"
    lines = [
        f"place    {place_text(letter.place)} ({found})",
        f"time     {format_time(letter.time)}",
        f"reason   {plain(letter.reason)}",
        f"message  {plain(letter.message)}",
        f"replayed {letter.replayed}",
        f"key      {'none' if letter.key is None else plain(text_of(letter.key))}",
        "headers",
    ]
    for name, value in letter.headers:
        first, *rest = text_of(value).splitlines() or [""]
        lines += [f"  {plain(name)}: {plain(first)}", *(f"    {plain(line)}" for line in rest)]
    lines += [f"value    {letter.size} bytes" + (", not in the letter" if letter.is_reference else "")]
    return "\n".join([*lines, *(f"  {plain(line)}" for line in _pretty(letter.value))])


def plain(text: str, limit: int | None = None) -> str:
    """One line without control characters, cut to ``limit``."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def text_of(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _pretty(value: bytes | None) -> list[str]:
    if not value:
        return []
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        return text_of(value).splitlines()


def _bytes(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}
