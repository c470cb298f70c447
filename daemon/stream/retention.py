"""What keeps the embedded stream bounded: the oldest records of a topic go by size and by age."""

from __future__ import annotations

from daemon.stream.file import PLACE_BITS, StreamFile

AT_ONCE = 1000
"""Records looked at per round, so that no write waits long."""


def trim(file: StreamFile, topic: int, max_bytes: int, older_than: float) -> int:
    """Within a transaction: drop what is too much or was written before ``older_than`` (seconds since the
    epoch) from the old ends of the topic's partitions. Returns how many records went.

    Offsets are kept in ``logs``, never taken from what is left, so that none is used twice.
    """
    ((size,),) = file.query("SELECT bytes FROM topics WHERE id = ?", (topic,))
    heads = []
    for log, first, following in file.query("SELECT id, first, next FROM logs WHERE topic = ?", (topic,)):
        start = log << PLACE_BITS
        rows = file.query(
            "SELECT place, written, size FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
            (start | first, start | following, AT_ONCE),
        )
        latest = 0.0
        for place, written, length in rows:
            latest = max(latest, written)  # a clock set back must not change the order within a partition
            heads.append((latest, place, length))
    ends: dict[int, int] = {}
    gone = 0
    for written, place, length in sorted(heads):
        if size <= max_bytes and written >= older_than:
            break
        log = place >> PLACE_BITS
        ends[log] = max(ends.get(log, 0), place)
        size -= length
        gone += 1
    for log, place in ends.items():
        file.query("DELETE FROM records WHERE place >= ? AND place <= ?", (log << PLACE_BITS, place))
        offset = place & ((1 << PLACE_BITS) - 1)
        file.query("UPDATE logs SET first = ? WHERE id = ?", (offset + 1, log))
    if gone:
        file.query("UPDATE topics SET bytes = ? WHERE id = ?", (size, topic))
    return gone
