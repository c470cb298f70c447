"""HTTP/1.1 connections that are kept, each asking again as soon as it is answered; as little work as can be."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Sequence
from typing import Any

Answer = tuple[int, dict[str, Any]]
"""Status, and the JSON of the body."""


def ask(port: int, path: str, body: object = None) -> Answer:
    """One request on a connection of its own: GET, or POST with a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"content-type": "application/json"}
        connection.request("GET" if data is None else "POST", path, data, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def load(port: int, path: str, bodies: Sequence[object], connections: int) -> list[Answer]:
    """POST every body, on so many connections at once; answers in the order of the bodies."""
    return asyncio.run(_load(port, path, bodies, connections))


async def _load(port: int, path: str, bodies: Sequence[object], connections: int) -> list[Answer]:
    waiting = iter(list(enumerate(map(_request(port, path), bodies))))
    answers: dict[int, Answer] = {}

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for number, request in waiting:
                writer.write(request)
                answers[number] = await _answer(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(connections)))
    return [answers[number] for number in range(len(bodies))]


def _request(port: int, path: str) -> Any:
    def made(body: object) -> bytes:
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data

    return made


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    return int(head.split(None, 2)[1]), json.loads(await reader.readexactly(size))
