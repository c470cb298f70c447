"""``retaind versions``: what is in the registry."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from daemon.cli.options import Options, common


@click.group()
def versions() -> None:
    """Versions of the model, and what became of each.

    \b
    Example:
      retaind versions list
    """


@versions.command("list")
@click.option("--task", metavar="NAME", help="Only this task's.")
@common
def list_versions(options: Options, task: str | None) -> None:
    """Every complete version, with aliases and verdicts.

    \b
    Example:
      retaind versions list
    """
    from daemon.app import Rooms
    from daemon.roles.overview import version_row

    rooms = Rooms.make(options.load().config)
    rows = [version_row(rooms.registry, version) for version in rooms.registry.versions(task)]
    lines = [f"{'version':<9}{'task':<16}{'created':<21}{'tune':<13}{'verdict':<14}alias"]
    for row in rows:
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row["created"]))
        aliases = ", ".join(row["aliases"])
        lines.append(f"{row['id']:<9}{row['task']:<16}{created:<21}{row['tune']:<13}{row['verdict']:<14}{aliases}")
    options.emit({"versions": rows}, "\n".join(lines))


@versions.command()
@click.argument("version")
@click.option("--card", "as_card", is_flag=True, help="Its model card, as Markdown.")
@common
def show(options: Options, version: str, as_card: bool) -> None:
    """One version: where it comes from, its files, its history. Verifies every hash.

    \b
    Example:
      retaind versions show 000042
    """
    from daemon.app import Rooms
    from daemon.registry.card import card
    from daemon.roles.overview import version_row

    rooms = Rooms.make(options.load().config)
    if as_card:
        text = card(rooms.registry, version)
        options.emit({"id": version, "card": text}, text.rstrip())
        return
    loaded = rooms.registry.load(version)
    document = {
        **version_row(rooms.registry, loaded),
        "meta": asdict(loaded.meta),
        "files": dict(loaded.files),
        "history": [asdict(entry) for entry in rooms.registry.history(version=version)],
    }
    lines = [f"{key:<10}{document[key]}" for key in ("id", "task", "tune", "verdict", "aliases")]
    lines += [f"parent    {loaded.meta.parent}", f"cursor    {loaded.meta.cursor}", "files"]
    lines += [f"  {digest[:12]}  {name}" for name, digest in sorted(loaded.files.items())]
    lines += ["history"]
    lines += [f"  {e.kind:<12}{e.who:<12}{e.why}" for e in rooms.registry.history(version=version)]
    options.emit(document, "\n".join(lines))


@versions.command("diff")
@click.argument("a")
@click.argument("b")
@common
def diff_versions(options: Options, a: str, b: str) -> None:
    """What distinguishes version B from version A: configuration, labels, metrics, verdict.

    \b
    Example:
      retaind versions diff 000041 000042
    """
    from daemon.app import Rooms
    from daemon.registry.diff import diff, text_of_diff

    rooms = Rooms.make(options.load().config)
    document = diff(rooms.registry, a, b)
    options.emit(document, text_of_diff(document))
