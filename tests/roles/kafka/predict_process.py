"""A request loop in a process of its own, to be killed; its model is an echo, so that it starts within a second.

``python -m tests.roles.kafka.predict_process CONFIGURATION`` with the JSON form of ``stream``. Ends as the predict role
does: SIGTERM drains, what is raised goes to standard error with the exit status of its class.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from daemon.clock import SystemClock
from daemon.config.stream import Stream
from daemon.errors import RetaindError
from daemon.launch import stop_on_signals
from daemon.logs import configure_logs
from daemon.roles.predict import RequestLoop
from daemon.stream.decoders import get_decoder
from daemon.stream.ends import KafkaEnds
from daemon.tasks.schema import get_schema
from tests.roles.echo import echo

STARTED = "a signal is heard from now on"


class Slow(SystemClock):
    """Its time for people is asked once an answer: there the process can be killed in mid-batch."""

    def now(self) -> float:
        time.sleep(0.0005)
        return super().now()


def main(stream: Stream) -> None:
    configure_logs()
    stop = stop_on_signals()
    sys.stderr.write(f"{STARTED}\n")
    ends = KafkaEnds(stream, Path())
    topics = [item.topic for item in stream.inputs if item.predict]
    source = ends.member(topics, "predict")
    loop = RequestLoop(
        source,
        ends.delivery(source, "predict"),
        echo(),
        {topic: get_decoder(default_task="support") for topic in topics},
        {"support": get_schema("sequence")},
        Slow(),
        stream.outputs.predictions,
        5,
    )
    try:
        loop.run(stop)
        loop.close()
    except RetaindError as error:
        sys.stderr.write(f"retaind: {error}\n")
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main(Stream.model_validate_json(sys.argv[1]))
