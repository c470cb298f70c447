"""``make kafka`` as people run it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest

from daemon.config.load import load
from tests.kafka.play import LABELLED, REQUESTS
from tests.kafka.ports import free_port
from tests.kafka.topics import Topics

ROOT = Path(__file__).parents[2]


@contextmanager
def playing(directory: Path, port: int) -> Iterator[IO[str]]:
    """What it prints, while it runs; ended by Ctrl-C, after which nothing may be left."""
    command = [sys.executable, "-m", "tests.kafka.play", "--port", str(port), "--directory", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            _, left = psutil.wait_procs(children, timeout=5)
            assert left == []
        finally:
            process.kill()


def lines_to_try(output: IO[str]) -> str:
    said = ""
    for line in output:
        said += line
        if "state_dir=" in line:
            return said
    raise AssertionError(f"it ended: {said}")


@pytest.mark.slow
@pytest.mark.usefixtures("broker_jars")
def test_its_lines_are_right_and_its_data_stays(tmp_path: Path) -> None:
    port = free_port()
    topics = Topics(f"127.0.0.1:{port}")
    with playing(tmp_path, port) as output:
        said = lines_to_try(output)
        topics.create("kept")
        topics.produce("kept", [b"one"])
    # the settings that it prints, both ways, are those of its broker
    exported = dict(re.findall(r"(RETAIND_\w+)='?([^\s']+)'?", said))
    sets = [value.strip("'") for value in re.findall(r"--set (\S+)", said)]
    for config in (load(None, ["tasks.t={}"], exported).config, load(None, ["tasks.t={}", *sets], {}).config):
        assert (config.stream.kind, config.stream.kafka.bootstrap_servers) == ("kafka", [topics.bootstrap])
        assert config.stream.kafka.create_topics
        assert config.state_dir == tmp_path / "state"
    # so are the files
    rows = {name: (tmp_path / f"{name}.jsonl").read_text().splitlines() for name in ("labelled", "requests")}
    assert {name: len(lines) for name, lines in rows.items()} == {"labelled": LABELLED, "requests": REQUESTS}
    assert all(("label" in json.loads(line)) == (name == "labelled") for name, lines in rows.items() for line in lines)
    # and a second start finds what the first one held
    with playing(tmp_path, port) as output:
        lines_to_try(output)
        assert [record.value for record in topics.read("kept")] == [b"one"]


@pytest.mark.usefixtures("broker_jars")
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "tests.kafka.play", "--port", port, "--directory", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert not list(tmp_path.iterdir())
