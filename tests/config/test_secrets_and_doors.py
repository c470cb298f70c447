"""Secrets come from the environment or a file, and are shown nowhere; open doors need one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon.config.combinations import is_loopback
from daemon.config.kafka import Password
from daemon.config.load import load
from daemon.config.provenance import values_of
from daemon.errors import ConfigError

SECRET = "hunter2-and-more"
TASK = "tasks.support={}"


def test_a_token_of_the_environment_is_used_and_redacted() -> None:
    # Given a token in the environment
    loaded = load(None, [TASK, "http.host=0.0.0.0"], {"RETAIND_HTTP_TOKEN": SECRET})
    # Then the door may be open, and nothing that can be printed holds the token
    assert loaded.config.http.token is not None
    assert loaded.config.http.token.get_secret_value() == SECRET
    assert values_of(loaded.config)["http.token"] == "***"
    assert loaded.provenance["http.token"] == "RETAIND_HTTP_TOKEN"
    for shown in (repr(loaded), str(loaded.config), loaded.config.model_dump_json(), str(values_of(loaded.config))):
        assert SECRET not in shown


def test_a_token_of_a_file_is_used(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET + "\n")
    loaded = load(None, [TASK, f"http.token_file={file}"], {})
    assert loaded.config.http.token is not None
    assert loaded.config.http.token.get_secret_value() == SECRET
    assert loaded.provenance["http.token"] == str(file)


def test_a_token_in_the_file_or_on_the_command_line_is_refused_and_not_repeated(tmp_path: Path) -> None:
    # Given a secret where others can read it
    file = tmp_path / "config.yaml"
    file.write_text(f"tasks: {{support: {{}}}}\nhttp:\n  token: {SECRET}\n")
    # Then it is refused, and the message does not hold it
    for path, sets in ((file, [TASK]), (None, [TASK, f"http.token={SECRET}"])):
        with pytest.raises(ConfigError, match="a secret must not stand here") as caught:
            load(path, sets, {})
        assert SECRET not in str(caught.value)


def test_a_token_file_that_says_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        load(None, [TASK, f"http.token_file={tmp_path / 'empty'}"], {})
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(None, [TASK, f"http.token_file={tmp_path / 'none'}"], {})


def test_every_secret_comes_from_its_variable_or_its_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    # Given a broker that wants a password and a certificate, and files with the secrets
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    sasl = "stream.kafka={security_protocol: SASL_SSL, sasl: {kind: scram-sha-512, username: u, %s}, ssl: {%s}}"
    files = [TASK, sasl % (f"password_file: {file}", f"key_password_file: {file}")]
    variables = {"RETAIND_KAFKA_PASSWORD": SECRET, "RETAIND_KAFKA_KEY_PASSWORD": SECRET}
    for sets, environ in ((files, {}), ([TASK, sasl % ("", "")], variables)):
        # When it is loaded
        loaded = load(None, sets, environ)
        # Then they are there, and nothing that can be printed holds them
        kafka = loaded.config.stream.kafka
        assert isinstance(kafka.sasl, Password)
        for secret in (kafka.sasl.password, kafka.ssl.key_password):
            assert secret is not None
            assert secret.get_secret_value() == SECRET
        assert values_of(loaded.config)["stream.kafka.sasl.password"] == "***"
        for shown in (repr(loaded), loaded.config.model_dump_json(), str(values_of(loaded.config))):
            assert SECRET not in shown


def test_a_variable_whose_section_is_not_configured_is_passed_over() -> None:
    assert load(None, [TASK], {"RETAIND_KAFKA_PASSWORD": SECRET}).config.stream.kafka.sasl is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "retaind.internal"])
def test_a_door_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match="anything but loopback needs a token"):
        load(None, [TASK, f"http.host='{host}'"], {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.4.5.6", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    load(None, [TASK, f"http.host='{host}'"], {})


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        (["stream.kind=kafka"], "stream.kafka.bootstrap_servers = []: with stream.kind kafka it needs at least one"),
        (
            ["stream.kafka.bootstrap_servers=[kafka]"],
            "stream.kafka.bootstrap_servers.0 = 'kafka': must be host:port, for example kafka-1:9092",
        ),
        (
            ["stream.kafka.security_protocol=SASL_SSL"],
            "stream.kafka.security_protocol = 'SASL_SSL' (--set): needs stream.kafka.sasl",
        ),
        (["stream.kafka.sasl.kind=gssapi"], "stream.kafka.security_protocol = 'PLAINTEXT': has no SASL"),
        (
            ["stream.kafka={security_protocol: SASL_SSL, sasl: {kind: plain, username: u}}"],
            "stream.kafka.sasl.password_file = None: needs the password: name its file, or set RETAIND_KAFKA_PASSWORD",
        ),
        (
            ["stream.kafka={security_protocol: SASL_SSL, sasl: {kind: oauthbearer}}"],
            "stream.kafka.sasl.token_file = None: give either token_file or token_url",
        ),
        (
            ["stream.kafka={security_protocol: SASL_SSL, sasl: {kind: oauthbearer, token_url: 'https://x'}}"],
            "stream.kafka.sasl.client_id = None: token_url needs it",
        ),
        (["stream.kafka.ssl.key_file=x"], "stream.kafka.ssl.key_file = 'x' (--set): needs stream.kafka.ssl.cert_file"),
        (["stream.kafka.ssl.ca_file=/no/ca"], "stream.kafka.ssl.ca_file = '/no/ca' (--set): there is no such file"),
        (
            ["defaults.split.validation_ratio=0.5", "defaults.split.holdout_ratio=0.5"],
            "tasks.support.split.holdout_ratio = 0.5 (--set (defaults)): with validation_ratio 0.5 nothing is left",
        ),
        (["defaults.labels.mode=closed"], "tasks.support.labels.known = []: with labels.mode closed"),
        (
            ["defaults.labels.known=[a, a]"],
            "tasks.support.labels.known = ['a', 'a'] (--set (defaults)): each label once",
        ),
        (["defaults.labels={known: [a, b], max_labels: 1}"], "tasks.support.labels.known = '2 labels'"),
        (["stream.inputs=[{topic: a}, {topic: a}]"], "stream.inputs.1.topic = 'a' (--set): is read by stream.inputs.0"),
        (
            ["stream.inputs=[{topic: retaind.dlq}]"],
            "stream.inputs.0.topic = 'retaind.dlq' (--set): is stream.outputs.dead",
        ),
    ],
)
def test_a_combination_that_cannot_work_is_refused(sets: Sequence[str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, [TASK, *sets], {})
    assert str(caught.value).startswith(line)
