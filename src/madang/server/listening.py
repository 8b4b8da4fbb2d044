"""Serving until Ctrl-C or SIGTERM: the port first, the model after, an end without a fuss."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import uvicorn

from madang.home import Home
from madang.server.app import DEFAULT_QUEUE, DEFAULT_WORKERS, create_app
from madang.server.service import Service

# What a client has to finish reading after the signal; streams are ended by us before.
GRACE_S: Final = 3
_BACKLOG: Final = 2048
# Longer than clients keep idle connections, so that none is closed under a request.
_KEEP_ALIVE_S: Final = 75


def serve(
    home: Home,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = DEFAULT_WORKERS,
    queue: int = DEFAULT_QUEUE,
    on_listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a home until SIGINT or SIGTERM, and return; the home stays the caller's to close.

    Port 0 takes any free one. `on_listening` is called with the server's URL as soon as requests
    are taken. Raises ValueError where the address cannot be listened on.
    """
    app = create_app(home, host=host, workers=workers, queue=queue)
    with listen(host, port) as listening:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        server = _Server(config, app.state.service, lambda: on_listening(_url(host, listening)))
        asyncio.run(server.serve(sockets=[listening]))


def listen(host: str, port: int) -> socket.socket:
    """Open the port. Raises ValueError with a sentence that says what to do where that fails."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ValueError(f"{host} is no address of this machine ({error.strerror})") from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ValueError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another --port"
        ) from None
    return listening


class _Server(uvicorn.Server):
    """Uvicorn that ends open streams by itself and does not die of the signal that ended it."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for one in signals:
            loop.add_signal_handler(one, self._end)
        try:
            yield
        finally:
            for one in signals:
                loop.remove_signal_handler(one)

    def _end(self) -> None:
        # Asked twice, it no longer waits for clients.
        self.force_exit = self.should_exit
        self.should_exit = True
        self._service.closing.set()


def _url(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    # A browser cannot go to "every address".
    if host in ("0.0.0.0", "::", ""):  # noqa: S104
        name = "127.0.0.1"
    return f"http://{name}:{port}"
