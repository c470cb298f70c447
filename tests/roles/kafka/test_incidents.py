"""What happens to topics: retention passes, they are made anew, denied, missing."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.errors import TopicAlreadyExistsError
from pydantic import SecretStr
from structlog.testing import capture_logs

from daemon.config.kafka import Kafka, SaslPlain
from daemon.errors import TopicRecreated
from tests.kafka.secure import PASSWORD, USER, SecureBroker
from tests.kafka.topics import Topics
from tests.roles.kafka.place import KafkaPlace


def names(start: int, end: int) -> list[str]:
    return [f"e{n}" for n in range(start, end)]


def test_retention_that_passed_us_by_is_an_alarm_with_the_range_and_reading_goes_on(place: KafkaPlace) -> None:
    # Given ingest up to 20, a topic that goes on to 50, and retention up to 35 while ingest is away
    place.write(*names(0, 20))
    place.settle()
    place.role.close()
    place.write(*names(20, 50))
    place.topics.delete_before(place.topic, 35)
    # When it starts
    place.start()
    with capture_logs() as logs:
        place.settle()
    # Then the range is told and counted, and the rest is stored
    (alarm,) = [entry for entry in logs if entry["event"] == "records_lost"]
    assert (alarm["topic"], alarm["expected"], alarm["first_kept"], alarm["lost"]) == (place.topic, 20, 35, 15)
    assert alarm["log_level"] == "error"
    assert place.observer.counts["ingest_lost_records_total", place.topic] == 15
    assert set(place.kept()) == {*names(0, 20), *names(35, 50)}


def test_retention_that_passes_while_ingest_waits_is_the_same_alarm(place: KafkaPlace) -> None:
    # Given ingest that runs and cannot store: its disk is full
    place.write(*names(0, 20))
    place.settle()
    place.role._source.pause()
    place.write(*names(20, 50))
    place.topics.delete_before(place.topic, 35)
    place.role._source.resume()
    # When it goes on
    with capture_logs() as logs:
        place.settle()
    # Then
    (alarm,) = [entry for entry in logs if entry["event"] == "records_lost"]
    assert (alarm["expected"], alarm["first_kept"], alarm["lost"]) == (20, 35, 15)
    assert set(place.kept()) == {*names(0, 20), *names(35, 50)}


def test_a_topic_made_anew_while_ingest_is_away_is_refused_by_name(place: KafkaPlace) -> None:
    place.write(*names(0, 20))
    place.settle()
    place.role.close()
    recreate(place.topics, place.topic)
    place.write(*names(100, 110))
    place.start()
    with pytest.raises(TopicRecreated, match=place.topic):
        place.settle()
    assert set(place.kept()) == set(names(0, 20))


@pytest.mark.parametrize("more", [5, 60], ids=["shorter", "longer than before"])
def test_a_topic_made_anew_under_a_running_ingest_is_refused_before_anything_of_it_is_stored(
    place: KafkaPlace, more: int
) -> None:
    # Given ingest that runs
    place.write(*names(0, 20))
    place.settle()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            place.until(lambda: False, 40)
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(1)
    # When its topic is made anew, with fewer records than were read or with more
    recreate(place.topics, place.topic)
    place.write(*names(100, 100 + more))
    thread.join(45)
    # Then it ends by name, and nothing of the other topic is in the buffer
    assert [type(error) for error in errors] == [TopicRecreated]
    assert place.topic in str(errors[0])
    assert set(place.kept()) == set(names(0, 20))


def test_a_topic_made_anew_while_ingest_was_stalled_is_refused_too(place: KafkaPlace) -> None:
    # Given ingest that polls nothing for a while, as under a full disk or a stopped machine
    place.write(*names(0, 20))
    place.settle()
    # When its topic is made anew in that time, and has more records than were read
    recreate(place.topics, place.topic)
    place.write(*names(100, 160))
    # Then it ends by name at its next step
    with pytest.raises(TopicRecreated, match=place.topic):
        place.until(lambda: False, 20)
    assert set(place.kept()) == set(names(0, 20))


def test_a_denied_dead_letter_topic_holds_up_letters_only_until_it_is_granted(
    tmp_path: Path, secure_broker: SecureBroker
) -> None:
    # Given a broker that lets us read and write, but not to the dead-letter topic
    topics, name = Topics(secure_broker.bootstrap), f"denied{time.time_ns()}"
    topics.create(name)
    topics.create(f"{name}.dlq")
    denial = ACL(
        f"User:{USER}",
        "*",
        ACLOperation.WRITE,
        ACLPermissionType.DENY,
        ResourcePattern(ResourceType.TOPIC, f"{name}.dlq"),
    )
    with closing(topics.admin()) as admin:
        admin.create_acls([denial])
    cfg = Kafka(
        bootstrap_servers=[secure_broker.address("SASL_PLAINTEXT")],
        security_protocol="SASL_PLAINTEXT",
        sasl=SaslPlain(username=USER, password=SecretStr(PASSWORD)),
        request_timeout_s=5,
    )
    place = KafkaPlace(tmp_path, cfg, topics, name, f"{name}.dlq")
    try:
        # When poison comes among events
        place.write("a")
        topics.produce(name, [b"{poison"])
        place.write("b")
        place.until(lambda: "dead_letters_wait" in place.troubles() and "b" in place.kept(), 30)
        # Then events are stored, the letter waits, and the user reads which topic and why
        assert place.buffer.outbox_size().letters == 1
        assert place.dead() == []
        assert f"{name}.dlq" in place.troubles()["dead_letters_wait"]
        assert "uthoriz" in place.troubles()["dead_letters_wait"]
        # When it is granted, Then the letter goes by itself
        with closing(topics.admin()) as admin:
            admin.delete_acls([denial])
        place.until(lambda: place.buffer.outbox_size().letters == 0, 30)
        assert [letter.value for letter in place.dead()] == [b"{poison"]
        assert place.troubles() == {}
    finally:
        place.close()


def recreate(topics: Topics, name: str) -> None:
    topics.delete(name)
    deadline = time.monotonic() + 20
    while True:
        try:
            topics.create(name)
        except TopicAlreadyExistsError:  # it goes in a moment
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return
