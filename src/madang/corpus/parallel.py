"""Functions on Arrow batches, over all cores of one machine.

Workers are programs of their own that read batches from their standard input. Unlike forked
processes they are safe beside threads and open databases, and unlike spawned ones they never run
the caller's script again.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from types import TracebackType
from typing import IO, Final, Protocol, Self

import pyarrow as pa

BatchFunction = Callable[[pa.RecordBatch], pa.RecordBatch]
"""A pure function of a batch, importable by name (or a `functools.partial` of one)."""

# How many batches a worker has before it, so that it never waits for the one that deals them out.
AHEAD: Final = 2

_LENGTH: Final = struct.Struct("<?Q")


class MapBatches(Protocol):
    """What runs functions on batches: over the cores of this machine, or over a cluster."""

    def __call__(
        self, function: BatchFunction, batches: Iterable[pa.RecordBatch], /
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to each batch and yield the results in the batches' order."""


class WorkerEndedError(RuntimeError):
    """A worker was ended from outside, which the system does where memory runs out."""

    def __init__(self, status: int) -> None:
        super().__init__(
            f"a worker ended with status {status} before its work was done; where memory ran out, "
            "fewer workers need less"
        )


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """Processes that apply functions to batches; they start when they are first needed."""

    def __init__(self, count: int | None = None) -> None:
        """Use `count` cores, all that there are where it is none; one works in this process."""
        self.count = count or available_cores()
        if self.count < 1:
            raise ValueError(f"{count} workers cannot work; give at least 1")
        self._all: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for worker in self._all:
            worker.end()
        self._all.clear()

    def map(
        self, function: BatchFunction, batches: Iterable[pa.RecordBatch], /
    ) -> Iterator[pa.RecordBatch]:
        """Apply a function to each batch and yield the results in the batches' order.

        A single batch is worked on in this process. Raises what the function raises, and
        WorkerEndedError.
        """
        source = iter(batches)
        first = list(islice(source, 2))
        if self.count == 1 or len(first) < 2:
            yield from map(function, chain(first, source))
            return
        self._start()
        by_name = pickle.dumps(function)
        pending: deque[Future[pa.RecordBatch]] = deque()
        with ThreadPoolExecutor(self.count, thread_name_prefix="batches") as threads:
            try:
                for batch in chain(first, source):
                    pending.append(threads.submit(self._work, by_name, batch))
                    if len(pending) >= self.count * AHEAD:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def _start(self) -> None:
        while len(self._all) < self.count:
            self._all.append(_Worker())
            self._idle.put(self._all[-1])

    def _work(self, function: bytes, batch: pa.RecordBatch) -> pa.RecordBatch:
        worker = self._idle.get()
        try:
            return worker.apply(function, batch)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process that applies functions to the batches it is sent."""

    def __init__(self) -> None:
        # One thread each: the workers share the cores among them already.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "madang.corpus.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self._output: IO[bytes] = self._process.stdout

    def apply(self, function: bytes, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Apply a pickled function to a batch in the process."""
        try:
            send(self._input, function)
            send(self._input, pack(batch))
            reply = receive(self._output)
        except (BrokenPipeError, ValueError):
            reply = None
        if reply is None:
            raise WorkerEndedError(self._process.wait())
        succeeded, body = reply
        if not succeeded:
            raise pickle.loads(body)  # noqa: S301 - from our own process
        return unpack(body)

    def end(self) -> None:
        """End the process, whatever it is at."""
        self._process.kill()
        self._process.wait()
        self._output.close()
        with suppress(BrokenPipeError):
            self._input.close()


def send(file: IO[bytes], body: bytes | memoryview | pa.Buffer, *, succeeded: bool = True) -> None:
    """Write one message: whether it is a result (else an exception), its length, its bytes."""
    view = memoryview(body)
    file.write(_LENGTH.pack(succeeded, view.nbytes))
    file.write(view)
    file.flush()


def receive(file: IO[bytes]) -> tuple[bool, bytes] | None:
    """Read one message; none at the end of the stream."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    succeeded, length = _LENGTH.unpack(head)
    body = file.read(length)
    return (succeeded, body) if len(body) == length else None


def pack(batch: pa.RecordBatch) -> pa.Buffer:
    """Return a batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def unpack(body: bytes) -> pa.RecordBatch:
    """Read what `pack` wrote."""
    with pa.ipc.open_stream(body) as reader:
        return reader.read_next_batch()
