"""An HTTP server that sends exactly the bytes it is told to, well-formed or not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable

Route = bytes | Iterable[bytes] | Callable[[socket.socket], None]

LISTED = {"data": [{"id": "test-model", "owned_by": "vllm", "max_model_len": 2048}]}


def http(status: int, body: bytes | str, kind: str = "application/json", extra: str = "") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n"
        f"{extra}connection: close\r\n\r\n"
    )
    return head.encode() + data


def event_stream(*events: str) -> bytes:
    """A reply without a length: it ends where the connection does."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    return head + "".join(f"data: {event}\n\n" for event in events).encode()


def delta(text: str, finish: str | None = None) -> str:
    return json.dumps(
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    )


def hang(connection: socket.socket) -> None:
    """Say nothing until the client leaves."""
    connection.recv(1)


class RawServer:
    """Answers `models`, `chat`, `props`, `tokenize` and `embeddings` as told, and keeps what
    it was sent (`requests`: path, headers, body) and which clients have left (`hangups`)."""

    def __init__(self, **routes: Route) -> None:
        self.routes: dict[str, Route] = {"models": http(200, json.dumps(LISTED)), **routes}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.hangups: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._connections: list[socket.socket] = []

    def __enter__(self) -> RawServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()
        self._thread.join()

    def bodies(self, name: str) -> list[dict[str, object]]:
        return [json.loads(body) for path, _, body in self.requests if path.endswith(name)]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            received = b""
            while b"\r\n\r\n" not in received:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                received += chunk
            head, _, body = received.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            while len(body) < int(headers.get("content-length", 0)):
                body += connection.recv(65536)
            path = lines[0].split()[1]
            self.requests.append((path, headers, body))
            name = {"completions": "chat"}.get(path.rsplit("/", 1)[1], path.rsplit("/", 1)[1])
            route = self.routes.get(name, http(404, '{"detail": "Not Found"}'))
            try:
                if callable(route):
                    route(connection)
                elif isinstance(route, bytes):
                    connection.sendall(route)
                else:
                    for part in route:
                        connection.sendall(part)
            except OSError:
                self.hangups.append(name)
