"""The control log: commands that people append and roles execute, each with its outcome.

Guarantees:

1. Commands of a role are executed in the order they were given; an acknowledged one survives crashes.
2. A command whose role died under it is executed again, at most ``MAX_STARTS`` times; one that would do
   something else the second time (``ONCE``) is reported as interrupted instead. Either way it ends.
3. A command has one outcome, the first; who, when and why stay in the log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import orjson

from daemon.errors import ConfigError, RetaindError, SchemaTooNew
from daemon.sqlite import translated, use_wal

KINDS: Mapping[str, str] = {
    "promote": "learn",
    "rollback": "learn",
    "train_now": "learn",
    "pause": "learn",
    "resume": "learn",
    "release": "learn",
}
"""Kind of command -> the role that executes it."""

ONCE = frozenset({"rollback"})
"""Kinds that must not be executed twice: a second rollback undoes the first."""
MAX_STARTS = 3
"""A command under which its role dies this often is given up."""

SCHEMA = 1
BUSY_MS = 30_000
LOOK_S = 0.05
_TABLE = """
CREATE TABLE commands(id INTEGER PRIMARY KEY AUTOINCREMENT, role TEXT NOT NULL, kind TEXT NOT NULL,
  task TEXT NOT NULL, args BLOB NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, asked REAL NOT NULL,
  starts INTEGER NOT NULL DEFAULT 0, finished REAL, ok INTEGER, outcome BLOB);
CREATE INDEX pending ON commands(role, id) WHERE finished IS NULL;
"""

_FIELDS = "id, kind, task, args, who, why, asked"


@dataclass(frozen=True, slots=True)
class Command:
    id: int
    kind: str
    task: str
    args: Mapping[str, Any]
    who: str
    why: str
    asked: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """``details``: what the command returned, or ``{"error": …}``."""

    ok: bool
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A command with what became of it: ``outcome`` is None and ``finished`` None while it waits."""

    command: Command
    finished: float | None
    outcome: Outcome | None


class Control:
    """``control.sqlite``; any number of processes hold one each, and threads may share one."""

    def __init__(self, path: Path) -> None:
        """Raises SchemaTooNew, StoreCorrupt, StoreFull, StoreError; so does every other method."""
        self._lock = threading.Lock()
        self._path = path
        with translated(path):
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(BUSY_MS)
            use_wal(self._db, BUSY_MS / 1000)
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("BEGIN IMMEDIATE")
            (version,) = next(iter(self._db.execute("PRAGMA user_version")))
            if version == 0:
                self._db.execute(_TABLE + f"PRAGMA user_version={SCHEMA};")
            self._db.execute("COMMIT")
        if version > SCHEMA:
            self._db.close()
            raise SchemaTooNew(f"{path} has schema {version}, this retaind knows {SCHEMA}: use a newer retaind")

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock, translated(self._path):
            return list(self._db.execute(sql, values))

    def submit(self, kind: str, task: str, args: Mapping[str, Any], who: str, why: str) -> int:
        """Append a command; returns its id. Raises ConfigError for a kind there is not."""
        role = KINDS.get(kind)
        if role is None:
            raise ConfigError(f"command {kind!r}: allowed are {', '.join(KINDS)}")
        values = (role, kind, task, orjson.dumps(args), who, why, time.time())
        sql = "INSERT INTO commands(role,kind,task,args,who,why,asked) VALUES(?,?,?,?,?,?,?) RETURNING id"
        return int(self._rows(sql, values)[0][0])

    def pending(self, role: str) -> Iterator[Command]:
        """What ``role`` has not finished, in order. One executor per role; finish each before taking the next.

        A command counts as started when it is handed out. One that was started before and never finished was
        interrupted: it is handed out again, or finished here with an error (guarantee 2).
        """
        sql = f"SELECT {_FIELDS}, starts FROM commands WHERE role=? AND finished IS NULL ORDER BY id"
        for *fields, starts in self._rows(sql, (role,)):
            command = _command(fields)
            if starts >= (1 if command.kind in ONCE else MAX_STARTS):
                self.finish(
                    command.id,
                    False,
                    {
                        "error": f"interrupted: the {role} role ended while it executed this"
                        f" ({starts} times); see where the task stands, then ask again"
                    },
                )
                continue
            self._rows("UPDATE commands SET starts=starts+1 WHERE id=?", (command.id,))
            yield command

    def finish(self, command: int, ok: bool, details: Mapping[str, Any]) -> None:
        """Record the outcome; a second one is ignored."""
        data = orjson.dumps(details, option=orjson.OPT_SERIALIZE_NUMPY)
        values = (time.time(), ok, data, command)
        self._rows("UPDATE commands SET finished=?, ok=?, outcome=? WHERE id=? AND finished IS NULL", values)

    def history(self, limit: int) -> Sequence[Entry]:
        """The newest ``limit`` commands, newest first."""
        sql = f"SELECT {_FIELDS}, finished, ok, outcome FROM commands ORDER BY id DESC LIMIT ?"
        return [
            Entry(_command(fields), at, None if at is None else Outcome(bool(ok), orjson.loads(outcome)))
            for *fields, at, ok, outcome in self._rows(sql, (limit,))
        ]

    def wait(self, command: int, timeout_s: float) -> Outcome:
        """Raises RetaindError where the role has not answered in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            rows = self._rows("SELECT ok, outcome FROM commands WHERE id=? AND finished IS NOT NULL", (command,))
            if rows:
                return Outcome(bool(rows[0][0]), orjson.loads(rows[0][1]))
            if time.monotonic() >= deadline:
                raise RetaindError(
                    f"command {command} was not answered within {timeout_s:g} s; it stays in the log, "
                    "and its role executes it once it runs"
                )
            time.sleep(LOOK_S)

    def close(self) -> None:
        self._db.close()


def _command(fields: Sequence[Any]) -> Command:
    number, kind, task, args, who, why, asked = fields
    return Command(number, kind, task, orjson.loads(args), who, why, asked)
