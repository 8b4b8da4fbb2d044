"""The embedded engine: llama.cpp with any GGUF model, in a process that only we can talk to."""

from __future__ import annotations

import importlib.util
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from madang.engines import llama_process
from madang.engines.engine import EngineError, Feature, Message, Piece, Sampling
from madang.engines.gguf import GgufHeader, read_gguf_header
from madang.engines.openai_compatible import OpenAICompatibleEngine
from madang.engines.openmp import LIBGOMP, llama_environment
from madang.engines.processor import check_processor, usable_cores
from madang.engines.server_facts import ServerFacts

DEFAULT_CONTEXT_LENGTH: Final = 4096
# Two people are answered at the same time; others wait their turn inside llama.cpp.
DEFAULT_PARALLEL: Final = 2
LOAD_TIMEOUT_S: Final = 300.0
_BATCH: Final = 256
_SMALL_MODEL_BYTES: Final = 256 << 20


class EmbeddedEngine:
    """Generates with a GGUF model on this machine; nothing leaves it.

    llama.cpp's own server runs in a child process. It listens on 127.0.0.1 at a port of the
    system's choice and wants a random key that only this object knows. The child ends with this
    object or this process, however that ends; when the child dies, the next use starts it again.
    """

    remote: Final = False

    def __init__(
        self,
        path: Path,
        *,
        context_length: int = DEFAULT_CONTEXT_LENGTH,
        parallel: int = DEFAULT_PARALLEL,
        embeddings: bool = False,
        name: str | None = None,
    ) -> None:
        """Load a model; returns when it can answer.

        `context_length` tokens of prompt and answer fit each of `parallel` generations at once;
        it is lowered to what the model was trained for. With `embeddings`, the model gives
        vectors (the mean over the tokens) in place of text. `name` is how people know the model,
        its file's name unless it is given. Raises EngineError where the
        processor, the package or the file will not do.
        """
        check_processor()
        if importlib.util.find_spec("xllamacpp") is None:
            raise EngineError(
                "the package xllamacpp is not installed; install it, or give the URL of a server "
                "as the model"
            )
        self._path = path
        self._name = name or path.stem
        self._header: GgufHeader = read_gguf_header(path)
        self._context_length = min(context_length, self._header.context_length or context_length)
        self._parallel = parallel
        self._threads, self._batch_threads = _threads(path.stat().st_size, usable_cores())
        self._embeddings = embeddings
        self._lock = threading.Lock()
        self._closed = False
        self._process, self._server = self._start()

    @property
    def name(self) -> str:
        """The name that was given, else that of the model's file without its ending."""
        return self._name

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together that fit one generation."""
        return self._context_length

    @property
    def address(self) -> str:
        """Where llama.cpp listens: a URL on 127.0.0.1."""
        return self._server.url.removesuffix("/v1")

    @property
    def process_id(self) -> int:
        """The process that llama.cpp runs in, for measuring its memory."""
        return self._process.pid

    def supports(self, feature: Feature) -> bool:
        """Return whether a feature may be asked for."""
        return self._server.supports(feature)

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Piece]:
        """Yield pieces as they are generated; see `Engine.generate`."""
        return self._running().generate(messages, sampling)

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of a text; control tokens in it are read as plain text."""
        return self._running().tokenize(text)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text. Raises EngineError where the model was loaded to write."""
        if not self._embeddings:
            raise EngineError(f"{self.name} was loaded to write and gives no embeddings")
        return self._running().embed(texts)

    def cancel(self) -> None:
        """End every generation that runs now; their iterators stop at once."""
        self._server.cancel()

    def close(self) -> None:
        """End the process and give back its memory. Calling it again is harmless."""
        with self._lock:
            self._closed = True
            self._server.close()
            _end(self._process)

    def _running(self) -> OpenAICompatibleEngine:
        with self._lock:
            if self._closed:
                raise EngineError(f"the engine of {self.name} is closed")
            if self._process.poll() is not None:
                self._server.close()
                _end(self._process)
                self._process, self._server = self._start()
            return self._server

    def _start(self) -> tuple[subprocess.Popen[bytes], OpenAICompatibleEngine]:
        key = secrets.token_urlsafe(32)
        settings = {
            "path": str(self._path.absolute()),
            "name": self.name,
            "key": key,
            "context_length": self._context_length,
            "parallel": self._parallel,
            "threads": self._threads,
            "batch_threads": self._batch_threads,
            "batch": _BATCH,
            "embeddings": self._embeddings,
        }
        with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as libraries:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", llama_process.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=llama_environment(Path(libraries)),
                # Ctrl-C in the terminal is for the program, which then ends this process.
                start_new_session=True,
            )
            try:
                address = _hand_over(process, settings)
            except BaseException:
                _end(process)
                raise
            if address is None:
                status = _end(process)
                log.seek(0)
                said = log.read(1 << 20).decode("utf-8", "replace")
                raise EngineError(_load_failure(self._path, status, said))
        facts = ServerFacts(
            kind="llama.cpp",
            model=self.name,
            context_length=self._context_length,
            control_tokens=self._header.control_tokens,
        )
        return process, OpenAICompatibleEngine(address, api_key=key, model=self.name, facts=facts)


def _load_failure(path: Path, status: int, said: str) -> str:
    """Return one sentence on why a process ended before its model was loaded."""
    lines = said.splitlines()
    not_imported = next((line for line in lines if line.startswith("ImportError: ")), None)
    if not_imported is not None:
        reason = not_imported.removeprefix("ImportError: ")
        remedy = (
            "install the system's package libgomp1" if LIBGOMP in reason else "install it again"
        )
        return f"the package xllamacpp cannot be used ({reason[:200]}); {remedy}"
    if status == -signal.SIGILL:
        return "this processor lacks an instruction that the embedded model needs"
    reason = next((line for line in lines if "error loading model: " in line), "")
    reason = reason.rpartition("error loading model: ")[2] or f"llama.cpp ended with {status}"
    return f"{path} cannot be loaded ({reason[:200]}); try another file or download it again"


def _hand_over(process: subprocess.Popen[bytes], settings: dict[str, object]) -> str | None:
    """Give a new process its settings and return its address, or none where it ended first."""
    assert process.stdin is not None and process.stdout is not None
    alarm = threading.Timer(LOAD_TIMEOUT_S, process.kill)
    alarm.daemon = True
    alarm.start()
    try:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        return None
    finally:
        alarm.cancel()
    return str(json.loads(line)["address"]) if line else None


def _end(process: subprocess.Popen[bytes]) -> int:
    """End a process for certain and return its status, its own where it is ending already."""
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    if process.stdout is not None:
        process.stdout.close()
    try:
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _threads(model_bytes: int, cores: int) -> tuple[int, int]:
    """Return the threads for writing, one token at a time, and for reading, many at a time.

    Half of a large machine's cores are hyper-threads, which do not help. In a small model, the
    threads of one token would wait for each other longer than they work.
    """
    reading = min(8, max(cores // 2, min(cores, 2)))
    return (1 if model_bytes < _SMALL_MODEL_BYTES else reading), reading
