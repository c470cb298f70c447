"""``buffer erase`` on a topic of the user's own schema."""

from __future__ import annotations

from pathlib import Path

from daemon.app import Rooms
from daemon.config.load import load
from daemon.events import Event, Op
from daemon.stream.embedded import EmbeddedSource
from tests.cli.run import document, retaind

CONFIG = """
tasks: {support: {}}
stream:
  inputs:
    - topic: tickets
      decoder: {kind: mapped, id: number, label: category, constants: {task: support}}
"""


def test_an_erasure_is_read_by_a_topic_of_another_schema(tmp_path: Path) -> None:
    # Given a topic whose records are not of our form
    (tmp_path / "config.yaml").write_text(CONFIG)
    # When an event is erased
    result = retaind("buffer", "erase", "tkt-1", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert document(result)
    # Then the topic's decoder reads the deletion
    rooms = Rooms.make(load(tmp_path / "config.yaml", [f"state_dir={tmp_path / 'state'}"], {}).config)
    source = EmbeddedSource(rooms.paths.stream, ["tickets"], "reader", rooms.config.stream.embedded)
    (record,) = source.poll(10, 0.0)
    source.close()
    assert rooms.decoders()["tickets"].decode(record) == Event("tkt-1", "support", Op.DELETE)
