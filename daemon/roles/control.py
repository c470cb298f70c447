"""The control log: commands that people append and roles execute, each with its outcome.

Guarantees: commands of a role are executed in the order they were given; a command whose role died
before it was finished is executed again (every command can be); who, when and why stay in the log.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import orjson

from daemon.errors import ConfigError, RetaindError, SchemaTooNew

KINDS: Mapping[str, str] = {
    "promote": "learn",
    "rollback": "learn",
    "train_now": "learn",
    "pause": "learn",
    "resume": "learn",
}
"""Kind of command -> the role that executes it."""

SCHEMA = 1
LOOK_S = 0.05
_TABLE = """
CREATE TABLE commands(id INTEGER PRIMARY KEY AUTOINCREMENT, role TEXT NOT NULL, kind TEXT NOT NULL,
  task TEXT NOT NULL, args BLOB NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, asked REAL NOT NULL,
  finished REAL, ok INTEGER, outcome BLOB);
CREATE INDEX pending ON commands(role, id) WHERE finished IS NULL;
"""


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


class Control:
    """``control.sqlite``; any number of processes hold one each. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(str(path))
        self._db.set_busy_timeout(30_000)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("BEGIN IMMEDIATE")
        (version,) = next(iter(self._db.execute("PRAGMA user_version")))
        if version == 0:
            self._db.execute(_TABLE + f"PRAGMA user_version={SCHEMA};")
        self._db.execute("COMMIT")
        if version > SCHEMA:
            raise SchemaTooNew(f"{path} has schema {version}, this retaind knows {SCHEMA}: use a newer retaind")

    def submit(self, kind: str, task: str, args: Mapping[str, Any], who: str, why: str) -> int:
        """Append a command; returns its id. Raises ConfigError for a kind there is not."""
        role = KINDS.get(kind)
        if role is None:
            raise ConfigError(f"command {kind!r}: allowed are {', '.join(KINDS)}")
        values = (role, kind, task, orjson.dumps(args), who, why, time.time())
        sql = "INSERT INTO commands(role,kind,task,args,who,why,asked) VALUES(?,?,?,?,?,?,?) RETURNING id"
        return int(next(iter(self._db.execute(sql, values)))[0])

    def pending(self, role: str) -> Sequence[Command]:
        """What ``role`` has not finished, in order."""
        sql = "SELECT id,kind,task,args,who,why,asked FROM commands WHERE role=? AND finished IS NULL ORDER BY id"
        rows = self._db.execute(sql, (role,))
        return [Command(i, kind, task, orjson.loads(args), *rest) for i, kind, task, args, *rest in rows]

    def finish(self, command: int, ok: bool, details: Mapping[str, Any]) -> None:
        data = orjson.dumps(details, option=orjson.OPT_SERIALIZE_NUMPY)
        values = (time.time(), ok, data, command)
        self._db.execute("UPDATE commands SET finished=?, ok=?, outcome=? WHERE id=? AND finished IS NULL", values)

    def wait(self, command: int, timeout_s: float) -> Outcome:
        """Raises RetaindError where the role has not answered in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            row = next(iter(self._db.execute("SELECT ok, outcome FROM commands WHERE id=?", (command,))), None)
            if row is not None and row[0] is not None:
                return Outcome(bool(row[0]), orjson.loads(row[1]))
            if time.monotonic() >= deadline:
                raise RetaindError(
                    f"command {command} was not answered within {timeout_s:g} s; it stays in the log, "
                    "and its role executes it once it runs"
                )
            time.sleep(LOOK_S)

    def close(self) -> None:
        self._db.close()
