"""One field of an event in the user's JSON: a JMESPath expression, what it must give, what becomes of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jmespath.exceptions import JMESPathTypeError
from jmespath.functions import TYPES_MAP
from jmespath.parser import ParsedResult

from daemon.config.decoders import LabelPath, TextPath, TimePath
from daemon.config.expression import compile_expression
from daemon.errors import DecodeError
from daemon.stream.coercion import COERCIONS, TIMES, Coercion, is_number
from daemon.stream.fields import describe, shorten

MAX_PATH_CHARS = 120
MAX_PROBLEM_CHARS = 200
FAILURES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What evaluating an expression raises on a value that does not fit it, JMESPathError and RecursionError among them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field may be."""

    fits: Callable[[object], bool]
    wanted: str


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


KINDS: Mapping[str, Kind] = {
    "text": Kind(_is_text, "a string"),
    "texts": Kind(_are_texts, "a list of strings"),
    "label": Kind(
        lambda value: _is_text(value) or is_number(value) or _are_texts(value),
        "a string, a number or a list of strings",
    ),
    "flag": Kind(lambda value: value is False or value == "delete", "'delete', null or false"),
}


class MappedField:
    """``name`` is the event's field; ``kind`` one of KINDS. Thread-safe."""

    def __init__(self, name: str, given: str | TextPath | LabelPath, kind: str) -> None:
        self.name = name
        self.expression = Expression(name, given if isinstance(given, str) else given.path)
        coerce = None if isinstance(given, str) else given.coerce
        self._coerce: Coercion | None = None if coerce is None else COERCIONS[coerce]
        self._kind = KINDS[kind]

    def read(self, root: Mapping[str, Any]) -> Any:
        """The value; None where the expression gives null.

        Raises DecodeError: wrong_mapping, wrong_type, wrong_value.
        """
        value, place = self.expression.evaluate(root), self.expression.place
        if value is None:
            return None
        if self._coerce is not None:
            value = self._coerce(value, place)
        if not self._kind.fits(value):
            raise DecodeError(
                "wrong_type", f"{place}: must be {self._kind.wanted}, not {describe(value)}; {_mend(value)}"
            )
        return value


class MappedTime:
    """A time by its ``format``. Thread-safe."""

    def __init__(self, name: str, given: str | TimePath) -> None:
        cfg = TimePath(path=given) if isinstance(given, str) else given
        self.expression = Expression(name, cfg.path)
        self._coerce = None if cfg.coerce is None else COERCIONS[cfg.coerce]
        self._read = TIMES[cfg.format]

    def read(self, root: Mapping[str, Any]) -> float | None:
        """Seconds since the epoch; None where the expression gives null.

        Raises DecodeError: wrong_mapping, wrong_type, wrong_value, wrong_time.
        """
        value, place = self.expression.evaluate(root), self.expression.place
        if value is None:
            return None
        return self._read(value if self._coerce is None else self._coerce(value, place), place)


class Expression:
    """Compiled once. ``place`` is what messages call it: the field's name and the path."""

    def __init__(self, name: str, text: str) -> None:
        self.compiled: ParsedResult = compile_expression(text)
        self.place = f"{name} ({shorten(text, MAX_PATH_CHARS)})"

    def evaluate(self, root: Mapping[str, Any]) -> Any:
        """Raises DecodeError wrong_mapping where the record's values do not fit the expression."""
        try:
            return self.compiled.search(root)
        except FAILURES as error:
            raise DecodeError(
                "wrong_mapping",
                f"{self.place}: {_told(error)}; give what may be missing a default in the path: (body || '')",
            ) from None


def _told(error: Exception) -> str:
    """What went wrong, without the value: that may be huge, or too deep to be shown."""
    if isinstance(error, JMESPathTypeError):
        given = TYPES_MAP.get(error.actual_type, error.actual_type)
        return f"{error.function_name}() is given {given}, takes {', '.join(error.expected_types)}"
    return shorten(str(error) or type(error).__name__, MAX_PROBLEM_CHARS)


def _mend(value: object) -> str:
    if isinstance(value, dict | list):
        return "join() in the path makes text of a list, to_string() of an object"
    return "say coerce: string beside the path where it should become text"
