"""An engine behind a URL: any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from madang.engines.chat_stream import ReplyParser
from madang.engines.control_tokens import control_token_breaker
from madang.engines.engine import EngineError, Feature, Message, Piece, Sampling
from madang.engines.generation import Generation
from madang.engines.server_connection import ServerConnection
from madang.engines.server_facts import UNSTATED_CONTEXT_LENGTH, ServerFacts, server_facts

# A server that has the answer at hand: its list of models, the tokens of a text.
SHORT_TIMEOUT_S: Final = 5.0
EMBED_TIMEOUT_S: Final = 60.0
# How long a server that could not be reached is not asked again what it is.
_FORGET_FAILURE_S: Final = 2.0
_SIGN_OF_LIFE_S: Final = 1.0


class OpenAICompatibleEngine:
    """Generates through `/v1/chat/completions` of llama-server, vLLM or any such server.

    Where the URL names another machine, questions and the posts that they are answered from
    leave this one: `remote` says so. Nothing is sent before the first use.
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
        self._connection = ServerConnection(base_url, api_key)
        self._wanted_model = model
        self._facts = facts
        self._facts_error: tuple[float, EngineError] | None = None
        self._facts_lock = threading.Lock()
        self._break_tokens = control_token_breaker(facts.control_tokens if facts else ())
        self._running: set[concurrent.futures.Future[None]] = set()
        # A generation that the garbage collector ends may do so in a thread that holds this.
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """The address that requests go to, without the key."""
        return self._connection.base

    @property
    def remote(self) -> bool:
        """Whether messages leave this machine."""
        return self._connection.remote

    @property
    def name(self) -> str:
        """The model's name; the address while the server has not told it."""
        try:
            return self._known().display_name
        except EngineError:
            return self._wanted_model or self.url

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
            if getattr(sampling, feature) and feature not in facts.features:
                raise ValueError(f"{facts.display_name} at {self.url} does not support {feature}")
        request = self._chat_request(facts, messages, sampling)
        arrived: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        work = self._connection.start(self._stream(request, sampling.deadline_s, arrived))
        with self._lock:
            self._running.add(work)
        work.add_done_callback(self._forget)
        return Generation(work, arrived)

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
        url = f"{self._connection.root}/tokenize"
        reply = self._connection.ask(self._connection.json("POST", url, request, SHORT_TIMEOUT_S))
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
        url = f"{self.url}/embeddings"
        request = {
            "model": self._known().model,
            "input": [self._break_tokens(_encodable(text)) for text in texts],
            "encoding_format": "float",
        }
        reply = self._connection.ask(self._connection.json("POST", url, request, EMBED_TIMEOUT_S))
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
        self._connection.close()

    def _forget(self, work: concurrent.futures.Future[None]) -> None:
        with self._lock:
            self._running.discard(work)

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

    async def _stream(
        self,
        request: dict[str, Any],
        deadline_s: float,
        arrived: queue.SimpleQueue[Piece | None],
    ) -> None:
        url = f"{self.url}/chat/completions"
        alive = False
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._connection.response("POST", url, request) as response,
            ):
                parser = ReplyParser(response.headers.get("content-type", ""))
                async for chunk in response.aiter_bytes():
                    alive = True
                    for piece in parser.feed(chunk):
                        arrived.put(piece)
                    if parser.finished:
                        return
                for piece in parser.end():
                    arrived.put(piece)
        except TimeoutError:
            # llama-server sends nothing while it reads the prompt, so silence alone is no error.
            if not alive and not await self._connection.answers(_SIGN_OF_LIFE_S):
                raise EngineError(
                    f"{url} took the request and sent nothing within {deadline_s:g} s; "
                    "see whether the server hangs"
                ) from None
        except ValueError as error:
            raise EngineError(f"{url}: {self._connection.without_key(str(error))}") from None

    def _known(self) -> ServerFacts:
        with self._facts_lock:
            if self._facts is not None:
                return self._facts
            if self._facts_error is not None:
                failed_at, error = self._facts_error
                if time.monotonic() - failed_at < _FORGET_FAILURE_S:
                    raise EngineError(str(error))
            try:
                facts = self._connection.ask(self._discover())
            except EngineError as error:
                self._facts_error = (time.monotonic(), error)
                raise
            self._break_tokens = control_token_breaker(facts.control_tokens)
            self._facts = facts
            return facts

    async def _discover(self) -> ServerFacts:
        url = f"{self.url}/models"
        listed = await self._connection.json("GET", url, None, SHORT_TIMEOUT_S)
        try:
            properties = await self._connection.json(
                "GET", f"{self._connection.root}/props", None, SHORT_TIMEOUT_S
            )
        except EngineError:
            properties = {}
        facts = server_facts(listed, properties, self._wanted_model)
        if facts is None:
            raise EngineError(f"{url} lists no model; load one into that server")
        return facts


def _encodable(text: str) -> str:
    """Return the text without lone surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
