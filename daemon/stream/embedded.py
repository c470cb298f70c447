"""The embedded stream, by its public names: topics in one SQLite file, shared by processes.

Guarantees, as far as one machine can give them:

1. A record that :meth:`EmbeddedSink.flush` returned for is on disk (with ``fsync``, after a power cut too).
2. Offsets of a partition grow by one in the order of writing and are never used twice, retention or not.
3. Records of one key go to one partition.
4. A topic has an identity made with it: a file that was replaced is another incarnation.
"""

from daemon.stream.sink import EmbeddedSink
from daemon.stream.source import EmbeddedSource

__all__ = ["EmbeddedSink", "EmbeddedSource"]
