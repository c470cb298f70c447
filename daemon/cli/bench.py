"""``retaind bench``: one claim, measured."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from daemon.cli.options import Options, common

BENCHES: Mapping[str, str] = {"buffer": "daemon.bench.buffer"}
"""name -> module with ``run(quick: bool) -> dict``."""


@click.command()
@click.argument("name", type=click.Choice([*BENCHES, "all"]), default="all")
@click.option("--quick", is_flag=True, help="Under a minute, at a smaller size.")
@common
def bench(options: Options, name: str, quick: bool) -> None:
    """Measure what we claim; prints one table a claim.

    \b
    Example:
      retaind bench buffer --quick
    """
    names = list(BENCHES) if name == "all" else [name]
    results: dict[str, dict[str, Any]] = {n: importlib.import_module(BENCHES[n]).run(quick) for n in names}
    document: Mapping[str, Any] = results if name == "all" else results[name]
    options.emit(document, "\n\n".join(_table(n, result) for n, result in results.items()))


def _table(name: str, result: Mapping[str, Any]) -> str:
    lines = [f"{name}: {result['headline']}"]
    lines += [f"  {key:<28}{value}" for key, value in result.items() if key not in ("headline", "rows")]
    for row in result.get("rows", []):
        lines.append("  " + "  ".join(f"{key} {value}" for key, value in row.items()))
    return "\n".join(lines)
