"""An engine behind a URL: any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ipaddress
import queue
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import orjson

from madang.engines.background_loop import BackgroundLoop
from madang.engines.chat_stream import ReplyParser
from madang.engines.control_tokens import control_token_breaker
from madang.engines.engine import EngineError, Feature, Message, Piece, Sampling
from madang.engines.generation import Generation
from madang.engines.server_facts import UNSTATED_CONTEXT_LENGTH, ServerFacts, server_facts

CONNECT_TIMEOUT_S: Final = 5.0
# A server that has the answer at hand: its list of models, the tokens of a text.
SHORT_TIMEOUT_S: Final = 5.0
EMBED_TIMEOUT_S: Final = 60.0
# How long a server that could not be reached is not asked again what it is.
_FORGET_FAILURE_S: Final = 2.0
_SIGN_OF_LIFE_S: Final = 1.0
_MAX_BODY_BYTES: Final = 64 << 20
_MAX_ERROR_BYTES: Final = 64 << 10

T = TypeVar("T")


class OpenAICompatibleEngine:
    """Generates through `/v1/chat/completions` of llama-server, vLLM or any such server.

    Where the URL names another machine, questions and the posts that they are answered from
    leave this one: `remote` says so. Nothing is sent before the first use. The key goes into the
    authorization header and nowhere else; redirects are not followed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        facts: ServerFacts | None = None,
    ) -> None:
        """Prepare to talk to `base_url`, with or without `/v1` at its end.

        `model` is the model to ask for where the server has several; `facts` saves asking the
        server what it is. Raises ValueError where the URL is not one.
        """
        self._base, self._root, self.remote = _parse_base_url(base_url)
        self._key = api_key
        self._wanted_model = model
        self._facts = facts
        self._facts_error: tuple[float, EngineError] | None = None
        self._facts_lock = threading.Lock()
        self._break_tokens = control_token_breaker(facts.control_tokens if facts else ())
        self._running: set[concurrent.futures.Future[None]] = set()
        # A generation that the garbage collector ends may do so in a thread that holds this.
        self._lock = threading.RLock()
        self._closed = False
        self._loop: BackgroundLoop | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def url(self) -> str:
        """The address that requests go to, without the key."""
        return self._base

    @property
    def name(self) -> str:
        """The model's name; the address while the server has not told it."""
        try:
            return self._known().display_name
        except EngineError:
            return self._wanted_model or self._base

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together; a cautious figure where the server keeps silent."""
        try:
            return self._known().context_length
        except EngineError:
            return UNSTATED_CONTEXT_LENGTH

    def supports(self, feature: Feature) -> bool:
        """Return whether a feature may be asked for; false while the server cannot be reached."""
        try:
            return feature in self._known().features
        except EngineError:
            return False

    def check(self) -> None:
        """Raise EngineError where the server cannot be reached or names no model."""
        self._known()

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Piece]:
        """Yield pieces as they are generated; any thread may close the iterator.

        A generation that is late is cut; where the server gave no sign of life at all by then,
        that is an error. Raises ValueError for a feature that is not supported, and EngineError
        where the server cannot be reached, refuses, or breaks off.
        """
        facts = self._known()
        for feature in ("grammar", "json_schema", "logprobs"):
            if getattr(sampling, feature) and not self.supports(feature):
                raise ValueError(f"{facts.display_name} at {self._base} does not support {feature}")
        return self._pieces(self._chat_request(facts, messages, sampling), sampling.deadline_s)

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of a text; control tokens in it are read as plain text.

        Raises EngineError where the server has no `/tokenize`.
        """
        facts = self._known()
        if facts.kind == "vllm":
            # vLLM cannot be told to leave control tokens in a text alone.
            request: dict[str, Any] = {
                "model": facts.model,
                "prompt": self._break_tokens(_encodable(text)),
                "add_special_tokens": False,
            }
        else:
            request = {"content": _encodable(text), "add_special": False, "parse_special": False}
        url = f"{self._root}/tokenize"
        reply = self._ask(self._json("POST", url, request, SHORT_TIMEOUT_S))
        tokens = reply.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
            raise EngineError(f"{url} answered with something other than tokens")
        return tokens

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text.

        Raises EngineError where the server or its model has no embeddings.
        """
        if not texts:
            return []
        url = f"{self._base}/embeddings"
        request = {
            "model": self._known().model,
            "input": [self._break_tokens(_encodable(text)) for text in texts],
            "encoding_format": "float",
        }
        reply = self._ask(self._json("POST", url, request, EMBED_TIMEOUT_S))
        try:
            rows = sorted(reply["data"], key=lambda row: row["index"])
            vectors = [[float(value) for value in row["embedding"]] for row in rows]
        except (KeyError, TypeError, ValueError):
            vectors = []
        if len(vectors) != len(texts) or not all(vectors):
            raise EngineError(f"{url} answered with something other than one vector a text")
        return vectors

    def cancel(self) -> None:
        """End every generation that runs now; their iterators stop at once."""
        with self._lock:
            running = list(self._running)
        for work in running:
            work.cancel()

    def close(self) -> None:
        """End what runs and give back threads and sockets. Calling it again is harmless."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
            client, self._client = self._client, None
        self.cancel()
        if loop is not None and client is not None:
            loop.run(client.aclose())
            loop.close()

    # The conversation on the wire.

    def _chat_request(
        self, facts: ServerFacts, messages: Sequence[Message], sampling: Sampling
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": facts.model,
            "messages": [
                {"role": message.role, "content": self._break_tokens(_encodable(message.content))}
                for message in messages
            ],
            "stream": True,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # llama.cpp takes the highest number of 32 bits for "any".
            "seed": sampling.seed % (1 << 31),
        }
        if sampling.stop:
            request["stop"] = list(sampling.stop)
        if sampling.logprobs:
            request |= {"logprobs": True, "top_logprobs": 1}
        if sampling.grammar:
            request["grammar"] = sampling.grammar
        if sampling.json_schema:
            try:
                schema = orjson.loads(sampling.json_schema)
            except orjson.JSONDecodeError as error:
                raise ValueError(f"the JSON schema is not JSON: {error}") from None
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": schema},
            }
        return request

    def _pieces(self, request: dict[str, Any], deadline_s: float) -> Iterator[Piece]:
        arrived: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        loop, client = self._open()
        try:
            work = loop.start(self._stream(client, request, deadline_s, arrived))
        except RuntimeError:
            raise EngineError(f"the engine at {self._base} is closed") from None
        with self._lock:
            self._running.add(work)
            if self._closed:
                work.cancel()
        work.add_done_callback(self._forget)
        return Generation(work, arrived)

    def _forget(self, work: concurrent.futures.Future[None]) -> None:
        with self._lock:
            self._running.discard(work)

    async def _stream(
        self,
        client: httpx.AsyncClient,
        request: dict[str, Any],
        deadline_s: float,
        arrived: queue.SimpleQueue[Piece | None],
    ) -> None:
        url = f"{self._base}/chat/completions"
        alive = False
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._response(client, "POST", url, request) as response,
            ):
                alive = True
                parser = ReplyParser(response.headers.get("content-type", ""))
                async for chunk in response.aiter_bytes():
                    for piece in parser.feed(chunk):
                        arrived.put(piece)
                    if parser.finished:
                        return
                for piece in parser.end():
                    arrived.put(piece)
        except TimeoutError:
            if not alive:
                await self._expect_sign_of_life(client, url, deadline_s)
        except ValueError as error:
            raise EngineError(f"{url}: {self._without_key(str(error))}") from None

    async def _expect_sign_of_life(
        self, client: httpx.AsyncClient, url: str, deadline_s: float
    ) -> None:
        # llama-server sends nothing while it reads the prompt, so silence alone is no error; a
        # server that still answers anything at all, be it a refusal, is only slow.
        try:
            await client.get(f"{self._base}/models", timeout=_SIGN_OF_LIFE_S)
        except httpx.TransportError:
            raise EngineError(
                f"{url} took the request and sent nothing within {deadline_s:g} s; "
                "see whether the server hangs"
            ) from None

    # One request.

    @asynccontextmanager
    async def _response(
        self, client: httpx.AsyncClient, method: str, url: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx.Response]:
        headers = {"content-type": "application/json"} if body is not None else {}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        content = orjson.dumps(body) if body is not None else None
        try:
            async with client.stream(method, url, content=content, headers=headers) as response:
                if response.status_code != 200:
                    raise await self._refusal(url, response)
                yield response
        except httpx.ConnectTimeout:
            raise EngineError(
                f"{url} did not answer within {CONNECT_TIMEOUT_S:g} s; check the address"
            ) from None
        except httpx.ConnectError as error:
            raise EngineError(
                f"{url} cannot be reached ({_one_line(str(error))}); "
                "start the server or correct the address"
            ) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise EngineError(
                f"{url} broke off in the middle of an answer ({_one_line(str(error))}); "
                "see the server's log"
            ) from None

    async def _refusal(self, url: str, response: httpx.Response) -> EngineError:
        body = bytearray()
        try:
            async with asyncio.timeout(1.0):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_ERROR_BYTES:
                        break
        except (TimeoutError, httpx.HTTPError):
            pass
        status = response.status_code
        said = self._without_key(_error_message(bytes(body)))
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

    async def _json(
        self, method: str, url: str, body: Mapping[str, Any] | None, timeout_s: float
    ) -> dict[str, Any]:
        _, client = self._open()
        received = bytearray()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._response(client, method, url, body) as response,
            ):
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > _MAX_BODY_BYTES:
                        raise EngineError(f"{url} answered with more than {_MAX_BODY_BYTES} bytes")
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

    # What the server is.

    def _known(self) -> ServerFacts:
        with self._facts_lock:
            if self._facts is not None:
                return self._facts
            if self._facts_error is not None:
                failed_at, error = self._facts_error
                if time.monotonic() - failed_at < _FORGET_FAILURE_S:
                    raise EngineError(str(error))
            try:
                facts = self._ask(self._discover())
            except EngineError as error:
                self._facts_error = (time.monotonic(), error)
                raise
            self._break_tokens = control_token_breaker(facts.control_tokens)
            self._facts = facts
            return facts

    async def _discover(self) -> ServerFacts:
        url = f"{self._base}/models"
        listed = await self._json("GET", url, None, SHORT_TIMEOUT_S)
        try:
            properties = await self._json("GET", f"{self._root}/props", None, SHORT_TIMEOUT_S)
        except EngineError:
            properties = {}
        facts = server_facts(listed, properties, self._wanted_model)
        if facts is None:
            raise EngineError(f"{url} lists no model; load one into that server")
        return facts

    # Threads, sockets and secrets.

    def _open(self) -> tuple[BackgroundLoop, httpx.AsyncClient]:
        with self._lock:
            if self._closed:
                raise EngineError(f"the engine at {self._base} is closed")
            if self._loop is None or self._client is None:
                self._loop = BackgroundLoop(f"engine {self._root}")
                self._client = httpx.AsyncClient(
                    timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
                    # A connection that is kept holds one of llama-server's threads.
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                    # A proxy has no business between two processes of one machine.
                    trust_env=self.remote,
                    verify=self._base.startswith("https:"),
                )
            return self._loop, self._client

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            loop, _ = self._open()
            return loop.run(work)
        except (RuntimeError, concurrent.futures.CancelledError):
            raise EngineError(f"the engine at {self._base} is closed") from None
        finally:
            work.close()

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text


def _parse_base_url(text: str) -> tuple[str, str, bool]:
    """Return the base of the API, the server's root, and whether it is another machine."""
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is no address of a server; it looks like http://HOST:PORT/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "the address of a server holds no user, key or query; "
            f"give http://HOST:PORT/v1 for {parts.hostname}, and the key by itself"
        )
    path = parts.path.rstrip("/")
    root_path = path.removesuffix("/v1")
    base_path = path or "/v1"
    base = urlunsplit((parts.scheme, parts.netloc, base_path, "", ""))
    root = urlunsplit((parts.scheme, parts.netloc, root_path, "", ""))
    return base, root, not _is_loopback(parts.hostname)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def _encodable(text: str) -> str:
    """Return the text without lone surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _error_message(body: bytes) -> str:
    """Return what an error body says, on one short line; OpenAI's shape or FastAPI's or none."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if isinstance(data, dict):
        data = data.get("error", data)
    if isinstance(data, dict):
        data = data.get("message", data.get("detail", ""))
    return _one_line(data) if isinstance(data, str) else ""


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"
