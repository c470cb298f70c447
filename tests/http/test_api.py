"""The doors: routes, refusals, problem documents. The application over a fake, and one real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from daemon.errors import CommandRefused, ConfigError, QueueFull, UnknownVersion
from daemon.events import Input
from daemon.http.app import Serving, create_app, serve
from daemon.http.auth import Rules, rules
from daemon.stream.ports import Headers

JSON = {"content-type": "application/json"}
HEAD = "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


class FakeServices:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.appended: list[bytes] = []
        self.commands: list[tuple[str, str, Mapping[str, Any]]] = []
        self.full = False
        self.is_ready = True
        self.trace: Headers = ()

    def tasks(self) -> Sequence[str]:
        return ["support", "mood"]

    def submit_prediction(self, task: str, inputs: Sequence[Input]) -> Future[Any]:
        if self.full:
            raise QueueFull("predict.max_queue: 1 requests wait already")
        future: Future[Any] = Future()
        future.set_result([{"label": value.text} for value in inputs])
        return future

    def predictions(
        self,
        task: str,
        inputs: Sequence[Input],
        ids: Sequence[str | None],
        answers: Sequence[Any],
        latency_ms: float,
        trace: Headers = (),
    ) -> Sequence[Mapping[str, Any]]:
        self.trace = trace
        return [{"task": task, "id": name, **answer} for name, answer in zip(ids, answers, strict=True)]

    def append(self, lines: Sequence[bytes]) -> int:
        self.appended += lines
        return len(lines)

    def status(self) -> Mapping[str, Any]:
        return {"tasks": {}}

    def task(self, task: str) -> Mapping[str, Any]:
        return {"task": task}

    def champion(self, task: str) -> Mapping[str, Any]:
        return {"task": task, "version": "000001"}

    def versions(self, task: str | None) -> Sequence[Mapping[str, Any]]:
        return [{"id": "000001", "task": task}]

    def version(self, version_id: str) -> Mapping[str, Any]:
        if version_id != "000001":
            raise UnknownVersion(f"version {version_id!r} is not in the registry")
        return {"id": version_id}

    def card(self, version_id: str) -> str:
        return f"# {self.version(version_id)['id']}\n"

    def buffer(self) -> Mapping[str, Any]:
        raise RuntimeError("a defect, whose text must not leave the house")

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        return self.is_ready, {"ready": self.is_ready}

    def metrics(self) -> bytes:
        return b"retaind_up 1\n"

    def command(self, kind: str, task: str, args: Mapping[str, Any], who: str, why: str) -> Mapping[str, Any]:
        if kind == "rollback":
            raise CommandRefused("no previous version")
        self.commands.append((kind, task, args))
        return {"done": kind}


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


def client(services: FakeServices, token: str | None = None, max_body: int = 10_000) -> TestClient:
    app = create_app(services, rules("127.0.0.1", token, max_body, 2.0))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def test_given_a_text_when_predicting_then_it_is_answered_alone_or_in_a_list(services: FakeServices) -> None:
    http = client(services)
    one = http.post("/v1/predict", json={"task": "support", "text": "a", "id": "x"})
    many = http.post("/v1/predict", json={"task": "mood", "instances": [{"text": "a"}, {"text": "b"}]})
    assert one.json() == {"task": "support", "id": "x", "label": "a"}
    assert [row["label"] for row in many.json()["predictions"]] == ["a", "b"]


def test_given_a_trace_when_predicting_then_answer_and_records_carry_it(services: FakeServices) -> None:
    http = client(services)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    body = {"task": "support", "text": "a", "id": "x"}
    answer = http.post("/v1/predict", json=body, headers={"traceparent": parent, "tracestate": "a=1"})
    assert (answer.headers["traceparent"], answer.headers["tracestate"]) == (parent, "a=1")
    assert dict(services.trace) == {"traceparent": parent.encode(), "tracestate": b"a=1"}
    broken = http.post("/v1/predict", json=body, headers={"traceparent": parent[:-1], "tracestate": "a=1"})
    assert broken.status_code == 200
    assert "traceparent" not in broken.headers
    assert dict(services.trace) == {}


def test_given_events_when_posted_one_many_or_as_lines_then_all_are_appended(services: FakeServices) -> None:
    http = client(services)
    assert http.post("/v1/events", json={"id": "1"}).json() == {"acknowledged": 1}
    assert http.post("/v1/events", json=[{"id": "2"}, {"id": "3"}]).status_code == 202
    ndjson = {"content-type": "application/x-ndjson"}
    assert http.post("/v1/events", content=b'{"id":"4"}\n\n{"id":"5"}\n', headers=ndjson).json() == {"acknowledged": 2}
    assert len(services.appended) == 5


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/predict", {"task": "nosuch", "text": "a"}, 404),
        ("POST", "/v1/predict", {"text": "a"}, 404),
        ("POST", "/v1/predict", {"task": "support"}, 400),
        ("POST", "/v1/predict", {"task": "support", "text": 3}, 400),
        ("POST", "/v1/predict", {"task": "support", "instances": []}, 400),
        ("POST", "/v1/predict", [1], 400),
        ("POST", "/v1/predict", {"task": "support", "text": "a", "tokens": ["a"]}, 400),
        ("POST", "/v1/predict", {"task": "support", "instances": [{"text": "a"}] * 257}, 400),
        ("POST", "/v1/events", [], 400),
        ("POST", "/v1/events", [1], 400),
        ("GET", "/v1/nothing", None, 404),
        ("DELETE", "/v1/status", None, 405),
        ("GET", "/v1/versions/000009", None, 404),
        ("GET", "/v1/versions/000009/card", None, 404),
        ("GET", "/v1/versions/..%2f..%2fetc", None, 404),
        ("POST", "/v1/tasks/support/rollback", {}, 409),
        ("PUT", "/v1/tasks/support/champion", {}, 400),
        ("PUT", "/v1/tasks/support/champion", {"version": "../000001"}, 400),
        ("PUT", "/v1/tasks/support/champion", {"version": "000002", "hold": "false"}, 400),
        ("GET", "/v1/versions/%2e%2e", None, 400),
        ("GET", "/v1/versions/000001x", None, 400),
        ("GET", "/v1/buffer", None, 500),
    ],
)
def test_given_a_bad_request_when_sent_then_a_problem_document_names_it(
    services: FakeServices, method: str, path: str, body: object, status: int
) -> None:
    answer = client(services).request(method, path, json=body, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]
    assert "leave the house" not in answer.text
    assert not services.commands


def test_given_commands_when_sent_then_they_reach_the_learner(services: FakeServices) -> None:
    http = client(services)
    assert http.put("/v1/tasks/support/champion", json={"version": "000002", "hold": True}).status_code == 200
    assert http.post("/v1/tasks/mood/train", json={}).json() == {"done": "train_now"}
    assert services.commands == [
        ("promote", "support", {"version": "000002", "hold": True, "with_labels": False}),
        ("train_now", "mood", {}),
    ]


def test_given_strange_hosts_origins_and_types_when_calling_then_refused(services: FakeServices) -> None:
    http = client(services)
    assert http.get("/v1/status", headers={"host": "evil.example"}).status_code == 400
    assert http.get("/v1/status", headers={"host": "[oops"}).status_code == 400
    assert http.get("/v1/status", headers={"host": "LOCALHOST:99"}).status_code == 200
    for origin in ("null", "http://127.0.0.1:1", "http://evil.example@127.0.0.1"):
        assert http.post("/v1/events", json={}, headers={"origin": origin}).status_code == 403
    assert http.get("/v1/status", headers={"origin": "http://127.0.0.1"}).status_code == 200
    assert http.post("/v1/events", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    assert http.post("/v1/events", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert http.post("/v1/events", content=b"[" * 5000, headers=JSON).status_code == 400
    deep = b'{"attributes": ' + b"[" * 40 + b"]" * 40 + b"}"
    assert "nested" in http.post("/v1/events", content=deep, headers=JSON).json()["detail"]
    assert not services.appended


def test_given_a_token_when_writing_without_it_then_401_and_no_effect(services: FakeServices) -> None:
    http = client(services, token="s3cret")
    writes = [
        ("POST", "/v1/predict"),
        ("POST", "/v1/events"),
        ("PUT", "/v1/tasks/support/champion"),
        ("POST", "/v1/tasks/support/rollback"),
        ("POST", "/v1/tasks/support/train"),
    ]
    for method, path in writes:
        for given in (None, "Bearer wrong", "s3cret", "Basic s3cret", "Bearer \xfc"):
            headers = {b"authorization": given.encode("latin-1")} if given is not None else {}
            answer = http.request(method, path, json={"text": "a"}, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert not services.appended
    assert not services.commands
    good = {"authorization": "Bearer s3cret"}
    assert http.post("/v1/events", json={"id": "1"}, headers=good).status_code == 202
    assert http.get("/livez").status_code == 200


def test_given_a_large_body_when_sent_then_413(services: FakeServices) -> None:
    http = client(services, max_body=100)
    assert http.post("/v1/events", json={"id": "x" * 200}).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 10

    assert http.post("/v1/events", content=chunks(), headers=JSON).status_code == 413


def test_given_a_full_queue_when_predicting_then_429_with_retry_after(services: FakeServices) -> None:
    services.full = True
    answer = client(services).post("/v1/predict", json={"task": "support", "text": "a"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"


def test_given_the_daemon_when_not_ready_then_readyz_is_503_and_livez_200(services: FakeServices) -> None:
    services.is_ready = False
    http = client(services)
    assert (http.get("/readyz").status_code, http.get("/livez").status_code) == (503, 200)
    assert http.get("/readyz").json() | {"detail": ""} == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "",
        "ready": False,
    }
    assert http.get("/metrics").text == "retaind_up 1\n"


def test_given_the_openapi_document_when_read_then_every_route_is_in_it(services: FakeServices) -> None:
    document = client(services).get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"get", "put"} <= set(document["paths"]["/v1/tasks/{task}/champion"])
    assert all(op["summary"] for path in document["paths"].values() for op in path.values())


def test_given_a_version_when_its_card_is_asked_for_then_it_is_markdown(services: FakeServices) -> None:
    answer = client(services).get("/v1/versions/000001/card")
    assert (answer.status_code, answer.text) == (200, "# 000001\n")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "get" in client(services).get("/openapi.json").json()["paths"]["/v1/versions/{version}/card"]


@pytest.fixture
def server(services: FakeServices) -> Iterator[Serving]:
    checks = Rules(frozenset({"127.0.0.1"}), None, 1000, 0.5)
    made = serve(create_app(services, checks), "127.0.0.1", 0)
    yield made
    made.close()


def test_given_a_real_socket_when_a_body_dribbles_in_then_408_and_others_are_served(server: Serving) -> None:
    # Given a client that never finishes its body
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as slow:
        slow.sendall(f"{HEAD}Content-Length: 50\r\n\r\n".encode() + b"{")
        # When others come, then they are answered meanwhile
        assert httpx.get(f"http://127.0.0.1:{server.port}/livez").status_code == 200
        # And the slow one is told
        assert b" 408 " in slow.recv(1000)


def _everything(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_given_a_real_socket_when_a_body_breaks_off_then_nothing_of_it_is_appended(
    server: Serving, services: FakeServices
) -> None:
    # Given lines of which the last promised bytes never come
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as broken:
        head = HEAD.replace("json", "x-ndjson") + "Content-Length: 500\r\n\r\n"
        broken.sendall(head.encode() + b'{"id": "1"}\n{"id": "2"')
        time.sleep(0.1)
    # When the sender has gone, then no part of it counts
    time.sleep(0.2)
    assert services.appended == []


@pytest.mark.parametrize("framing", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_given_a_real_socket_when_a_body_never_ends_then_413_and_the_connection_closes(
    server: Serving, framing: str
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as large:
        large.sendall(f"{HEAD}{framing}\r\n\r\n".encode() + b"400\r\n" + b" " * 0x400 + b"\r\n")
        answer = _everything(large)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


def test_given_a_request_under_way_when_closing_then_it_is_answered_and_the_port_is_free(
    services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a command that takes its time
    begun = threading.Event()

    def slowly(*asked: object) -> Mapping[str, Any]:
        begun.set()
        time.sleep(0.5)
        return {"done": "slowly"}

    monkeypatch.setattr(services, "command", slowly)
    made = serve(create_app(services, rules("127.0.0.1", None, 1000, 5)), "127.0.0.1", 0)
    url, answers = f"http://127.0.0.1:{made.port}", list[httpx.Response]()
    caller = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{url}/v1/tasks/support/train", json={}, timeout=10))
    )
    caller.start()
    assert begun.wait(5)

    # When the server is closed
    made.close()
    caller.join()

    # Then the caller has its answer, and nobody listens any more
    assert answers[0].json() == {"done": "slowly"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez")


def test_given_a_port_that_is_taken_when_serving_then_the_key_is_named(server: Serving, services: FakeServices) -> None:
    app = create_app(services, rules("127.0.0.1", None, 1000, 5))
    with pytest.raises(ConfigError, match=r"http\.port"):
        serve(app, "127.0.0.1", server.port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "daemon.internal"])
def test_given_an_address_off_loopback_when_there_is_no_token_then_there_is_no_door(host: str) -> None:
    for token in (None, ""):
        with pytest.raises(ConfigError, match="RETAIND_HTTP_TOKEN"):
            rules(host, token, 1000, 5)
    assert rules(host, "s3cret", 1000, 5).token == "s3cret"
