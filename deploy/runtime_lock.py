"""The part of requirements.lock that the daemon needs at run time, hashes and all, on standard output.

::

    python deploy/runtime_lock.py requirements.lock [--drop PATTERN]... [--without NAME]... > runtime.txt

The lock notes after each pin who asked for it (``# via``). Kept is what is reached from retaind itself and
not only from its development group. ``--without`` leaves a package out with all that only it needs;
``--drop`` leaves out the pins whose name fits a pattern, and nothing else. Standard library only: it runs
before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = "retaind (pyproject.toml)"
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==")
VIA = re.compile(r"\s+#\s+(?:via\s+)?(\S.*)")


def read(lock: str) -> Mapping[str, tuple[str, frozenset[str]]]:
    """name -> its lines, and who asked for it."""
    found = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE):
        pin = PIN.match(block)
        if pin is not None:
            askers = (VIA.fullmatch(line) for line in block.splitlines())
            found[pin.group(1)] = (block, frozenset(match.group(1) for match in askers if match and match[1] != "via"))
    return found


def needed(pins: Mapping[str, tuple[str, frozenset[str]]], without: Collection[str]) -> frozenset[str]:
    """Names that retaind needs at run time, over any chain that does not pass through ``without``."""
    kept: set[str] = set()
    grown = True
    while grown:
        more = {n for n, (_, askers) in pins.items() if n not in without and askers & {ROOT, *kept}} - kept
        kept |= more
        grown = bool(more)
    return frozenset(kept)


def runtime(lock: str, drop: Sequence[str] = (), without: Sequence[str] = ()) -> str:
    """The pins, in the order of the lock. Raises ValueError where ``without`` names what the lock has not."""
    pins = read(lock)
    unknown = sorted(set(without) - set(pins))
    if unknown:
        raise ValueError(f"--without {unknown[0]}: not in the lock")
    kept = needed(pins, without)
    names = [name for name in pins if name in kept and not any(fnmatch(name, pattern) for pattern in drop)]
    return "".join(pins[name][0] for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lock", type=Path)
    parser.add_argument("--drop", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--without", action="append", default=[], metavar="NAME")
    given = parser.parse_args()
    try:
        sys.stdout.write(runtime(given.lock.read_text(), given.drop, given.without))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
