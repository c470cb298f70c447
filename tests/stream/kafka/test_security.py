"""Every security protocol and mechanism, through Source and Sink; what is refused is told with its cause."""

from __future__ import annotations

import base64
import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from daemon.config.kafka import Sasl, SaslOauth, SaslPlain, SaslScram256, SaslScram512
from daemon.errors import StreamDenied, StreamUnavailable
from daemon.stream.kafka import KafkaSink, KafkaSource
from daemon.stream.ports import OutRecord
from tests.kafka.secure import SecureBroker, token
from tests.kafka.topics import Topics
from tests.stream.kafka.secured import MISTAKES, SECRETS, Mistake, bearer, kafka, password

CLIENT_SECRET = "s3cret/of+the client"
Make = Callable[[Path, str], Sasl]
MECHANISMS: dict[str, Make] = {
    "plain": lambda directory, url: password(SaslPlain),
    "scram-sha-256": lambda directory, url: password(SaslScram256),
    "scram-sha-512": lambda directory, url: password(SaslScram512),
    "token_file": lambda directory, url: bearer(directory),
    "token_url": lambda directory, url: SaslOauth(
        token_url=url, client_id="retaind", client_secret=SecretStr(CLIENT_SECRET), scope="kafka"
    ),
}
DOORS: list[tuple[str, str | None]] = [("PLAINTEXT", None), ("SSL", None), ("MTLS", None)]
DOORS += [(listener, mechanism) for listener in ("SASL_PLAINTEXT", "SASL_SSL") for mechanism in MECHANISMS]
AT_RUN_TIME = (
    "nobody_listens",
    "expired_certificate",
    "own_certificate_required",
    "tls_to_plain",
    "wrong_password_SaslScram512",
    "expired_token",
    "gssapi_is_not_installed",
)


class Issuer(BaseHTTPRequestHandler):
    """Gives a token to who knows the client's secret (RFC 6749 section 4.4)."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        pair = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        right = pair == "retaind:s3cret/of%2Bthe%20client" and form == {
            "grant_type": ["client_credentials"],
            "scope": ["kafka"],
        }
        self.send_response(200 if right else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"access_token": token(), "expires_in": 3600} if right else {}).encode())

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def token_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Issuer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("listener", "mechanism"), DOORS)
def test_given_each_security_when_a_record_is_written_then_it_is_read(
    secure_broker: SecureBroker, tmp_path: Path, token_url: str, listener: str, mechanism: str | None
) -> None:
    # Given a topic, and settings that are right
    topic = f"secure.{uuid.uuid4().hex[:8]}"
    Topics(secure_broker.bootstrap).create(topic)
    cfg = kafka(secure_broker, listener, MECHANISMS[mechanism](tmp_path, token_url) if mechanism else None)
    # When a record is written by the sink
    sink, source = KafkaSink(cfg), KafkaSource(cfg, [topic], f"{topic}.group")
    sink.send([OutRecord(topic, b"value", b"key")])
    sink.flush(10)
    # Then the source, a member of a group, reads it and may commit
    while not source.assignment():
        source.poll(1, 0.1)
    (record,) = source.poll(10, 5)
    assert (record.key, record.value) == (b"key", b"value")
    place = source.assignment()[0]
    source.commit({place: 1})
    assert source.committed(place) == 1
    source.close()
    sink.close()


@pytest.mark.parametrize("mistake", [each for each in MISTAKES if each.name in AT_RUN_TIME], ids=lambda each: each.name)
def test_given_a_mistake_when_an_end_is_opened_then_its_error_names_the_cause(
    secure_broker: SecureBroker, tmp_path: Path, mistake: Mistake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cfg = mistake.make(secure_broker, tmp_path).model_copy(update={"request_timeout_s": 1.0})
    # When reading begins, Then the error tells cause and mend, and is of the right class
    with pytest.raises(StreamUnavailable, match=rf"{mistake.says}.*; .*{mistake.mend}") as told:
        KafkaSource(cfg, ["t"], "g").assignment()
    assert (type(told.value) is StreamDenied) is mistake.denied
    # And no secret is in it, nor in a log
    assert not [secret for secret in (*SECRETS, token()[:30]) if secret in str(told.value) + caplog.text]


def test_given_a_wrong_password_when_writing_begins_then_the_error_names_it_too(secure_broker: SecureBroker) -> None:
    cfg = kafka(secure_broker, "SASL_SSL", password(SaslPlain, "wrong")).model_copy(update={"request_timeout_s": 1.0})
    with pytest.raises(StreamDenied, match="wrong user name or password for 'alice'"):
        KafkaSink(cfg).send([OutRecord("t", b"x", b"k")])


def test_given_a_token_endpoint_that_refuses_when_opened_then_it_is_named_and_the_secret_is_not(
    secure_broker: SecureBroker, token_url: str
) -> None:
    sasl = SaslOauth(token_url=token_url, client_id="retaind", client_secret=SecretStr("another"))
    cfg = kafka(secure_broker, "SASL_SSL", sasl).model_copy(update={"request_timeout_s": 1.0})
    with pytest.raises(StreamDenied, match=rf"token_url = '{token_url}': no token: .*401") as told:
        KafkaSource(cfg, ["t"], "g").assignment()
    assert "another" not in str(told.value)
