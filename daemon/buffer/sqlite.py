"""The buffer on SQLite, by its public names."""

from daemon.buffer.reader import SqliteBufferReader
from daemon.buffer.writer import SqliteBufferWriter

__all__ = ["SqliteBufferReader", "SqliteBufferWriter"]
