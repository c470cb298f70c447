"""JMESPath, as config.yaml has it: compiled once, and refused there where it cannot work.

What can be known without a record is checked: syntax, and that each function exists and gets as many arguments as
it takes. What a function is given is known only with a record.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import EmptyExpressionError, IncompleteExpressionError, LexerError, ParseError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult

RECORD = "_record"
"""What stands for the record itself (key, headers, timestamp and place) in an expression."""

Node = Mapping[str, Any]


def compile_expression(text: str) -> ParsedResult:
    """Raises ValueError, in one line, with the position (characters from 1)."""
    try:
        compiled = jmespath.compile(text)
    except EmptyExpressionError:
        raise ValueError("is empty; write a JMESPath expression, such as ticket.id") from None
    except IncompleteExpressionError:
        raise ValueError(f"is not JMESPath: it ends too early, at character {len(text) + 1}") from None
    except LexerError as error:
        raise ValueError(f"is not JMESPath: at character {error.lexer_position + 1}: {error.message}") from None
    except ParseError as error:
        raise ValueError(f"is not JMESPath: at character {error.lex_position + 1}: {error.msg}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    for node in _nodes(compiled.parsed):
        _check_function(node, text)
        _check_text(node)
    return compiled


def reads_record(compiled: ParsedResult) -> bool:
    """Whether the expression looks at the record beside its value."""
    return any(node["type"] == "field" and node["value"] == RECORD for node in _nodes(compiled.parsed))


def plain_path(compiled: ParsedResult) -> tuple[str, ...] | None:
    """The keys of a path such as ``ticket.category``; None for anything else, of which nobody can say whether
    its value is null or not there."""
    node = compiled.parsed
    parts = node["children"] if node["type"] == "subexpression" else [node]
    if any(part["type"] != "field" for part in parts):
        return None
    return tuple(part["value"] for part in parts)


def _nodes(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in node["children"] if isinstance(child, dict)]


def _check_function(node: Node, text: str) -> None:
    if node["type"] != "function_expression":
        return
    name, given = node["value"], len(node["children"])
    place = f"at character {text.find(name) + 1}"
    found = Functions.FUNCTION_TABLE.get(name)
    if found is None:
        close = difflib.get_close_matches(name, Functions.FUNCTION_TABLE, n=1)
        mend = f"did you mean {close[0]}()?" if close else f"there are: {', '.join(sorted(Functions.FUNCTION_TABLE))}"
        raise ValueError(f"{place}: no function {name}(); {mend}")
    takes = found["signature"]
    variadic = bool(takes) and bool(takes[-1].get("variadic"))
    if given < len(takes) or (given > len(takes) and not variadic):
        least = "at least " if variadic else ""
        raise ValueError(f"{place}: {name}() takes {least}{len(takes)} arguments, not {given}")


def _check_text(node: Node) -> None:
    if node["type"] in ("literal", "field"):
        try:
            repr_of(node["value"]).encode()
        except UnicodeEncodeError:
            raise ValueError("has half a surrogate pair in it, which is no text") from None


def repr_of(value: object) -> str:
    """The text in a literal, however deep."""
    if isinstance(value, dict):
        return "".join(f"{key}{repr_of(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "".join(repr_of(item) for item in value)
    return str(value)
