"""A model behind a URL that writes a word now and then and never comes to an end."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

WORD_EVERY_S = 0.05


class SlowModel:
    """Speaks OpenAI's protocol on a port of its own; ends when its last reader has left."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ended = threading.Event()
        self.running = 0
        self.most = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                if self.path == "/v1/models":
                    self._json({"object": "list", "data": [{"id": "slow", "object": "model"}]})
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                if self.path != "/v1/chat/completions":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                model._write_for(self.wfile)

            def _json(self, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def _write_for(self, out: Any) -> None:
        chunk = {"choices": [{"index": 0, "delta": {"content": "sea "}, "finish_reason": None}]}
        line = f"data: {json.dumps(chunk)}\n\n".encode()
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.ended.clear()
            self.began.set()
        try:
            while not self._closing.wait(WORD_EVERY_S):
                out.write(line)
        except OSError:
            pass
        finally:
            with self._lock:
                self.running -= 1
                if self.running == 0:
                    self.ended.set()

    def finish(self) -> None:
        """Come to an end after all, for every reader."""
        self._closing.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
