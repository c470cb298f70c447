"""From what a user's JSON holds to what an event needs, by name: ``coerce`` and ``format`` of a mapped field.

``place`` is what messages call the field. Reasons of DecodeError: wrong_type, wrong_value, wrong_time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from daemon.errors import DecodeError
from daemon.stream.fields import describe, wrong_type
from daemon.stream.rfc3339 import from_micros, parse_time

Coercion = Callable[[Any, str], Any]
TimeReader = Callable[[Any, str], float]

_NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?")
_MAX_TIME = 1e21
"""Of any unit: beyond what the year 9999 is in nanoseconds (2.5e20)."""


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def to_string(value: Any, place: str) -> Any:
    """A number or a boolean as JSON writes it; each item of a list; text stays."""
    if isinstance(value, list):
        return [to_string(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, str):
        return value
    if not isinstance(value, bool | int | float):
        return wrong_type(
            place, value, "a string, a number or a boolean; to_string() in the path makes text of an object"
        )
    if is_number(value) and not -(2.0**63) <= value < 2.0**63:
        raise DecodeError("wrong_value", f"{place}: {describe(value)} is too large to become text; send it as a string")
    return orjson.dumps(value).decode()


def to_number(value: Any, place: str) -> Any:
    """A text that is a JSON number; numbers stay."""
    if is_number(value):
        return value
    if not isinstance(value, str):
        return wrong_type(place, value, "a number, or text that is one")
    if _NUMBER.fullmatch(value) is None:
        raise DecodeError("wrong_value", f"{place}: {describe(value)} is no number, such as 0.5")
    return int(value) if value.lstrip("-").isdecimal() else float(value)


COERCIONS: Mapping[str, Coercion] = {"string": to_string, "number": to_number}


def _rfc3339(value: Any, place: str) -> float:
    if not isinstance(value, str):
        wrong_type(place, value, "RFC 3339 text; for a number say its unit: format: epoch_ms, for example")
    return parse_time(value, place)


def _epoch(unit: str, multiply: int, divide: int) -> TimeReader:
    def read(value: Any, place: str) -> float:
        if not is_number(value):
            return wrong_type(
                place, value, f"a number ({unit}); say coerce: number beside the path where it comes as text"
            )
        if not math.isfinite(value) or abs(value) > _MAX_TIME:
            raise DecodeError("wrong_time", f"{place}: {describe(value)} is no time in {unit}")
        exact = isinstance(value, int)
        micros = value * multiply // divide if exact else round(value * multiply / divide)
        return from_micros(micros, f"{place}: {describe(value)} in {unit}")

    return read


TIMES: Mapping[str, TimeReader] = {
    "rfc3339": _rfc3339,
    "epoch_s": _epoch("epoch_s", 1_000_000, 1),
    "epoch_ms": _epoch("epoch_ms", 1_000, 1),
    "epoch_us": _epoch("epoch_us", 1, 1),
    "epoch_ns": _epoch("epoch_ns", 1, 1_000),
}
"""format -> seconds since the epoch, to the microsecond."""
