"""A real server on a real port, in a thread of the test."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from madang.home import Home
from madang.server.listening import Server

NO_MODEL = "/there/is/no/such/model.gguf"

ANSWERABLE = {
    "en": ("What do you shake to make Mango the cat come?", {"town:0037", "town:0038"}),
    "ko": ("올해 등불축제에 켠 등불은 몇 개였어요?", {"town:0292"}),
}


SLOW_QUESTION = "Write me a long poem about the sea."


@dataclass(frozen=True)
class Served:
    """A running server and the home that it serves."""

    home: Home
    url: str
    server: Server
    client: httpx.Client

    @property
    def admin(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.home.folder.admin_key()}"}

    def ask(self, question: str, **parameters: Any) -> httpx.Response:
        return self.client.post("/v1/chat/completions", json=asking(question, **parameters))

    def stream(self, question: str, **parameters: Any) -> list[Any]:
        """All events of a streamed answer, and "[DONE]"."""
        response = self.ask(question, stream=True, **parameters)
        assert response.status_code == 200, response.text
        return events(response.text)

    def queue(self) -> tuple[int, int]:
        """How many are at work, how many wait."""
        admission = self.server.service.admission
        return admission.working, admission.waiting

    def post(self, id: str) -> httpx.Response:
        return self.client.get(f"/v1/posts/{quote(id, safe='')}")


@contextmanager
def serving(home: Home, *, workers: int = 2, queue: int = 32) -> Iterator[Served]:
    listening = threading.Event()
    server = Server(
        home,
        host="127.0.0.1",
        port=0,
        workers=workers,
        queue=queue,
        on_listening=lambda url: listening.set(),
    )
    thread = threading.Thread(target=server.serve_until_ended)
    thread.start()
    try:
        assert listening.wait(10)
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield Served(home, server.url, server, client)
    finally:
        server.end()
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def opened_copy(of: Path, to: Path, model: str | None) -> Iterator[Home]:
    shutil.copytree(of, to, dirs_exist_ok=True)
    with Home(to, model=model) as home:
        yield home


class Asker:
    """A client that sends a question over a socket of its own, and can leave at any time."""

    def __init__(self, served: Served, *, stream: bool) -> None:
        port = int(served.url.rpartition(":")[2])
        body = orjson.dumps(asking(SLOW_QUESTION, stream=stream))
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )

    def hang_up(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Leave without a goodbye, as a machine does whose cable is pulled."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def soon(holds: Callable[[], bool], within_s: float = 3.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def asking(question: str, **parameters: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": "madang", "messages": messages, **parameters}


def events(text: str) -> list[Any]:
    data = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of a response, which must have the one shape."""
    body = response.json()
    assert set(body) == {"error"}, body
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    assert isinstance(error["message"], str) and error["message"]
    assert isinstance(error["type"], str)
    return error
