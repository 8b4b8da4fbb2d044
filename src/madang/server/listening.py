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
from starlette.types import ASGIApp, Receive, Scope, Send

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
    learn_minutes: float = 0,
    on_listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a home until SIGINT or SIGTERM, and return; the home stays the caller's to close.

    Port 0 takes any free one. The community's model learns for `learn_minutes` in the background;
    0 leaves that out. `on_listening` is called with the server's URL as soon as requests
    are taken. Raises ValueError where the address cannot be listened on.
    """
    Server(
        home,
        host=host,
        port=port,
        workers=workers,
        queue=queue,
        learn_minutes=learn_minutes,
        on_listening=on_listening,
    ).serve_until_ended()


class Server(uvicorn.Server):
    """Uvicorn that ends open streams by itself and does not die of the signal that ended it."""

    def __init__(
        self,
        home: Home,
        *,
        host: str,
        port: int,
        workers: int,
        queue: int,
        on_listening: Callable[[str], None],
        learn_minutes: float = 0,
    ) -> None:
        """Open the port. Raises ValueError where that fails."""
        app = create_app(home, host=host, workers=workers, queue=queue, learn_minutes=learn_minutes)
        service = app.state.service
        assert isinstance(service, Service)
        super().__init__(
            uvicorn.Config(
                _without_fuss(app, service.closing),
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
        )
        self.service = service
        self._on_listening = on_listening
        self._socket = listen(host, port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.url = _url(host, self._socket)

    def serve_until_ended(self) -> None:
        """Serve until a signal comes or `end` is called."""
        with self._socket:
            asyncio.run(self.serve(sockets=[self._socket]))

    def end(self) -> None:
        """End soon; streams are told. Asked twice, clients are no longer waited for."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_listening(self.url)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """End on SIGINT and SIGTERM, where this is the main thread."""
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
        self.force_exit = self.should_exit
        self.should_exit = True
        self.service.closing.set()


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


def _without_fuss(app: ASGIApp, closing: asyncio.Event) -> ASGIApp:
    """Let requests that are cut off at the very end go without a traceback."""

    async def serve_one(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if not closing.is_set():
                raise

    return serve_one


def _url(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    # A browser cannot go to "every address".
    if host in ("0.0.0.0", "::", ""):  # noqa: S104
        name = "127.0.0.1"
    return f"http://{name}:{port}"
