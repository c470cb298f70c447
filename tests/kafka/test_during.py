from __future__ import annotations

import sys

from tests.kafka.during import main

ASK = """
import json, os, sys
from kafka import KafkaAdminClient
servers = json.loads(os.environ["RETAIND_STREAM__KAFKA__BOOTSTRAP_SERVERS"])
admin = KafkaAdminClient(bootstrap_servers=servers)
found = bool(admin.describe_cluster()["cluster_id"])
admin.close()
sys.exit(7 if found else 1)
"""


def test_a_command_finds_the_broker_and_its_exit_status_is_handed_on(broker_jars: str) -> None:
    assert main([sys.executable, "-W", "ignore", "-c", ASK]) == 7
