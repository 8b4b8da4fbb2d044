"""Requests to a server, and what can go wrong with them said in one sentence."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ipaddress
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import orjson

from madang.engines.background_loop import BackgroundLoop
from madang.engines.engine import EngineError

CONNECT_TIMEOUT_S: Final = 5.0
_REFUSAL_TIMEOUT_S: Final = 1.0
_MAX_REPLY_BYTES: Final = 64 << 20
_MAX_REFUSAL_BYTES: Final = 64 << 10

T = TypeVar("T")


class ServerConnection:
    """The way to one server: its addresses, the key, a loop for requests.

    `base` is the address of the API (it usually ends in `/v1`), `root` the server's own, and
    `remote` says whether it is another machine. The key goes into the authorization header and
    nowhere else; redirects are not followed. Every failure is an EngineError that names the
    address and what to do.
    """

    def __init__(self, base_url: str, api_key: str | None) -> None:
        """Prepare; nothing is sent. Raises ValueError where the URL is not one."""
        self.base, self.root, self.remote = _parse_base_url(base_url)
        self._key = api_key
        self._lock = threading.Lock()
        self._closed = False
        self._loop: BackgroundLoop | None = None
        self._client: httpx.AsyncClient | None = None

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start work that uses `response`, `json` or `answers`, and return at once."""
        try:
            loop, _ = self._open()
            return loop.start(work)
        except (EngineError, RuntimeError):
            work.close()
            raise self._is_closed() from None

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run such work and wait for what it returns or raises."""
        try:
            return self.start(work).result()
        except concurrent.futures.CancelledError:
            raise self._is_closed() from None

    @asynccontextmanager
    async def response(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Send a request and hand over the response, which was accepted, before its body."""
        _, client = self._open()
        content = orjson.dumps(body) if body is not None else None
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            async with client.stream(
                method, url, content=content, headers=headers | self._authorization()
            ) as response:
                if response.status_code != 200:
                    raise await self._refusal(url, response)
                yield response
        except httpx.ConnectTimeout:
            raise EngineError(
                f"{url} did not answer within {CONNECT_TIMEOUT_S:g} s; check the address"
            ) from None
        except httpx.ConnectError as error:
            raise EngineError(
                f"{url} cannot be reached ({_reason(error)}); "
                "start the server or correct the address"
            ) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise EngineError(
                f"{url} broke off in the middle of an answer ({_reason(error)}); "
                "see the server's log"
            ) from None

    async def json(
        self, method: str, url: str, body: Mapping[str, Any] | None, timeout_s: float
    ) -> dict[str, Any]:
        """Send a request and return the JSON object that it is answered with."""
        received = bytearray()
        try:
            async with asyncio.timeout(timeout_s), self.response(method, url, body) as response:
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > _MAX_REPLY_BYTES:
                        raise EngineError(f"{url} answered with more than {_MAX_REPLY_BYTES} bytes")
            reply = orjson.loads(received)
        except TimeoutError:
            raise EngineError(
                f"{url} did not answer within {timeout_s:g} s; see whether the server hangs"
            ) from None
        except orjson.JSONDecodeError:
            reply = None
        if not isinstance(reply, dict):
            raise EngineError(
                f"{url} answered with something other than JSON; check that it is the address of "
                "an OpenAI-compatible server"
            )
        return reply

    async def answers(self, timeout_s: float) -> bool:
        """Return whether the server answers anything at all, be it a refusal."""
        _, client = self._open()
        try:
            await client.get(
                f"{self.base}/models", timeout=timeout_s, headers=self._authorization()
            )
        except httpx.TransportError:
            return False
        return True

    def without_key(self, text: str) -> str:
        """Return what a server said, without the key that it may have repeated."""
        return text.replace(self._key, "…") if self._key else text

    def close(self) -> None:
        """End what runs and give back threads and sockets. Calling it again is harmless."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
            client, self._client = self._client, None
        if loop is not None and client is not None:
            loop.close(client.aclose())

    def _open(self) -> tuple[BackgroundLoop, httpx.AsyncClient]:
        with self._lock:
            if self._closed:
                raise self._is_closed()
            if self._loop is None or self._client is None:
                self._loop = BackgroundLoop(f"engine {self.root}")
                self._client = httpx.AsyncClient(
                    timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
                    # A connection that is kept holds one of llama-server's threads.
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                    # A proxy has no business between two processes of one machine.
                    trust_env=self.remote,
                    verify=self.base.startswith("https:"),
                )
            return self._loop, self._client

    def _is_closed(self) -> EngineError:
        return EngineError(f"the engine at {self.base} is closed")

    def _authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    async def _refusal(self, url: str, response: httpx.Response) -> EngineError:
        body = bytearray()
        try:
            async with asyncio.timeout(_REFUSAL_TIMEOUT_S):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_REFUSAL_BYTES:
                        break
        except (TimeoutError, httpx.HTTPError):
            pass
        status = response.status_code
        said = self.without_key(_error_message(bytes(body)))
        because = f": {said}" if said else ""
        if status in (401, 403):
            remedy = "refused the key or wants one; give the right key for this server"
            because = ""
        elif status == 404:
            remedy = "is not there; check the model's name and whether the address ends in /v1"
        elif status == 429:
            wait = response.headers.get("retry-after", "")
            remedy = f"is busy; try again in {wait} s" if wait.isdigit() else "is busy; try later"
        elif 300 <= status < 400:
            remedy = "moved elsewhere; give the address that it points to"
        elif status >= 500:
            remedy = "failed; see the server's log"
        else:
            remedy = "refused the request"
        return EngineError(f"{url} {remedy} (HTTP {status}{because})")


def one_line(text: str) -> str:
    """Return what a server said as one line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"


def _reason(error: Exception) -> str:
    return one_line(str(error)) or type(error).__name__


def _parse_base_url(text: str) -> tuple[str, str, bool]:
    """Return the base of the API, the server's root, and whether it is another machine."""
    mistake = "it looks like http://HOST:PORT/v1"
    try:
        parts = urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is no address of a server ({error}); {mistake}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{text!r} is no address of a server; {mistake}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "the address of a server holds no user, key or query; "
            f"give http://HOST:PORT/v1 for {host}, and the key by itself"
        )
    path = parts.path.rstrip("/")
    base = urlunsplit((parts.scheme, parts.netloc, path or "/v1", "", ""))
    root = urlunsplit((parts.scheme, parts.netloc, path.removesuffix("/v1"), "", ""))
    return base, root, not _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def _error_message(body: bytes) -> str:
    """Return what an error body says; OpenAI's shape or FastAPI's, or nothing."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if isinstance(data, dict):
        data = data.get("error", data)
    if isinstance(data, dict):
        data = data.get("message", data.get("detail", ""))
    return one_line(data) if isinstance(data, str) else ""
