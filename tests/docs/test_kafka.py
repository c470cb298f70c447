"""The examples of docs/how-to/kafka.md are configurations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from daemon.config.stream import Stream

PAGE = (Path(__file__).parents[2] / "docs/how-to/kafka.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_each_example_is_a_valid_stream_on_kafka(example: str) -> None:
    stream = Stream.model_validate(yaml.safe_load(example)["stream"])
    assert stream.kind == "kafka"
    assert stream.kafka.bootstrap_servers
    assert stream.kafka.security_protocol.startswith("SASL") is (stream.kafka.sasl is not None)
