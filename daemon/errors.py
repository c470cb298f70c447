"""The error tree: everything retaind raises on purpose.

::

    RetaindError
    ├── ConfigError             wrong usage or configuration: exit status 2
    │   └── SignatureMismatch   the state was made under an incompatible configuration
    ├── DecodeError             a record is not an event: it goes to the dead-letter topic
    ├── StreamError
    │   ├── StreamUnavailable   try again later
    │   │   ├── StreamDenied    not permitted: it is tried again, and goes on once it is granted
    │   │   ├── TopicMissing    it is tried again, and goes on once somebody created it
    │   │   ├── PositionLost    the stream has nothing at this position (any more): place anew
    │   │   └── Rebalanced      the partitions were dealt anew among the group: place anew
    │   ├── RecordRefused       the stream will never take these records, whenever they are sent
    │   ├── Fenced              another process took this one's name in the stream: it must end
    │   └── TopicRecreated      stored positions belong to another topic or cluster
    ├── StoreError              a durable store (buffer, embedded stream, control) cannot be used
    │   ├── PositionConflict    another writer moved a position: compare-and-set failed
    │   ├── SchemaTooNew        made by a newer retaind
    │   ├── StoreCorrupt
    │   └── StoreFull           no space left: nothing was stored, try again later
    ├── LockHeld                another process holds that role
    ├── VersionError
    │   ├── UnknownVersion
    │   ├── VersionIncomplete   no manifest, or files missing
    │   ├── VersionCorrupt      a SHA-256 or a probe differs
    │   └── UnsafeFile          a name or format that is not on the allow-list
    ├── TrainingError           an update failed; served model and buffer are untouched
    │   ├── NonFiniteLoss
    │   ├── TrainingTimeout
    │   └── TrainingOutOfMemory
    ├── CommandRefused          a control command that cannot be carried out now
    ├── QueueFull               too many requests wait: try again in a moment
    ├── NotServing              no model of that task is loaded yet, or the predictor is closing
    └── PredictionFailed        the model raised on this input; the log has the traceback

Each message names the key or file, the value found, and the mend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.stream.ports import OutRecord


class RetaindError(Exception):
    """Base class. ``exit_status`` is what the command line exits with."""

    exit_status = 1


class ConfigError(RetaindError):
    exit_status = 2


class SignatureMismatch(ConfigError):
    pass


class DecodeError(RetaindError):
    """A record that is not an event.

    ``reason`` is a short code with bounded cardinality (it becomes a metric label and a
    dead-letter header), for example ``not_json``, ``missing_field``, ``unknown_task``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StreamError(RetaindError):
    pass


class StreamUnavailable(StreamError):
    pass


class StreamDenied(StreamUnavailable):
    """The message names the topic or group, and the grant that mends it."""


class RecordRefused(StreamError):
    """``records``: those of what the calling thread sent that are refused for what they are (too large, not valid
    for their topic). What else it sent is acknowledged."""

    def __init__(self, message: str, records: Sequence[OutRecord] = ()) -> None:
        super().__init__(message)
        self.records = records


class TopicMissing(StreamUnavailable):
    pass


class PositionLost(StreamUnavailable):
    pass


class Rebalanced(StreamUnavailable):
    pass


class Fenced(StreamError):
    exit_status = 2


class TopicRecreated(StreamError):
    pass


class StoreError(RetaindError):
    pass


class PositionConflict(StoreError):
    pass


class SchemaTooNew(StoreError):
    pass


class StoreCorrupt(StoreError):
    pass


class StoreFull(StoreError):
    pass


class LockHeld(RetaindError):
    pass


class VersionError(RetaindError):
    pass


class UnknownVersion(VersionError):
    pass


class VersionIncomplete(VersionError):
    pass


class VersionCorrupt(VersionError):
    pass


class UnsafeFile(VersionError):
    pass


class TrainingError(RetaindError):
    pass


class NonFiniteLoss(TrainingError):
    pass


class TrainingTimeout(TrainingError):
    pass


class TrainingOutOfMemory(TrainingError):
    pass


class CommandRefused(RetaindError):
    pass


class QueueFull(RetaindError):
    pass


class NotServing(RetaindError):
    pass


class PredictionFailed(RetaindError):
    pass
