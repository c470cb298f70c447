"""``retaind doctor``: what is wrong here, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from daemon.cli.options import Options, common

if TYPE_CHECKING:
    from daemon.finding import Finding


@click.command()
@common
def doctor(options: Options) -> None:
    """Check machine, configuration, state and models one by one; changes nothing, may run beside a daemon.

    Exit status 1 where a check fails; warnings leave it 0.

    \b
    Example:
      retaind doctor
    """
    from daemon.finding import worst

    rows, findings = [], []
    for name, finding in _findings(options):
        findings.append(finding)
        rows.append({"check": name, "status": finding.status, "says": finding.says, "mend": finding.mend})
        if not options.json:
            click.echo(_line(name, finding))
    status = worst(findings)
    count = sum(row["status"] != "ok" for row in rows)
    told = "nothing to mend" if not count else f"{count} of {len(rows)} findings want looking at"
    options.emit({"status": status, "checks": rows}, told)
    if status == "fail":
        raise click.exceptions.Exit(1)


def _findings(options: Options) -> Iterator[tuple[str, Finding]]:
    from daemon.app import check_plugins
    from daemon.clock import SystemClock
    from daemon.doctor.checks import look_at, look_at_machine
    from daemon.doctor.finding import Patient
    from daemon.errors import ConfigError
    from daemon.finding import Finding

    yield from look_at_machine()
    try:
        config = options.load().config
        check_plugins(config)
    except ConfigError as error:
        yield "config", Finding("fail", str(error), "mend it and run this again: the other checks need it")
        return
    yield "config", Finding("ok", f"valid (tasks: {', '.join(config.tasks)})")
    yield from look_at(Patient(config, dict(os.environ), SystemClock()))


def _line(name: str, finding: Finding) -> str:
    lines = [f"{finding.status:<5} {name:<10} {finding.says}"]
    if finding.mend:
        lines.append(f"{'':<16} mend: {finding.mend}")
    return "\n".join(lines)
