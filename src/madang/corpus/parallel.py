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
from itertools import islice
from typing import BinaryIO, Final, Protocol

import pyarrow as pa

BatchFunction = Callable[[pa.RecordBatch], pa.RecordBatch]
"""A pure function of a batch, importable by name (or a `functools.partial` of one)."""

# How many batches a worker has before it, so that it never waits for the one that deals them out.
AHEAD: Final = 2

_LENGTH: Final = struct.Struct("<?Q")


class MapBatches(Protocol):
    """Applies a function to batches and yields the results in the batches' order."""

    def __call__(
        self, function: BatchFunction, batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]: ...


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


def map_batches(
    function: BatchFunction, batches: Iterable[pa.RecordBatch], workers: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Apply a function to batches on `workers` cores (all of them) and yield results in order.

    A single batch is worked on in this process, as everything is with one worker. Raises what
    the function raises, and WorkerEndedError.
    """
    workers = workers or available_cores()
    source = iter(batches)
    first = list(islice(source, 2))
    if workers == 1 or len(first) < 2:
        yield from map(function, first)
        yield from map(function, source)
        return
    crew: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    crew_list: list[_Worker] = []
    pending: deque[Future[pa.RecordBatch]] = deque()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="curation")

    def work(batch: pa.RecordBatch) -> pa.RecordBatch:
        worker = crew.get()
        try:
            return worker(batch)
        finally:
            crew.put(worker)

    try:
        for _ in range(workers):
            crew_list.append(_Worker(function))
            crew.put(crew_list[-1])
        for part in (first, source):
            for batch in part:
                pending.append(executor.submit(work, batch))
                if len(pending) >= workers * AHEAD:
                    yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for worker in crew_list:
            worker.end()
        executor.shutdown(wait=True)


class _Worker:
    """One process that applies one function to the batches it is sent."""

    def __init__(self, function: BatchFunction) -> None:
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
        self._input: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._output: BinaryIO = self._process.stdout  # type: ignore[assignment]
        with suppress(BrokenPipeError):
            send(self._input, pickle.dumps(function))

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
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
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._input.close()


def send(file: BinaryIO, body: bytes | memoryview | pa.Buffer, *, succeeded: bool = True) -> None:
    """Write one message: whether it is a result (else an exception), its length, its bytes."""
    view = memoryview(body)
    file.write(_LENGTH.pack(succeeded, view.nbytes))
    file.write(view)
    file.flush()


def receive(file: BinaryIO) -> tuple[bool, bytes] | None:
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
