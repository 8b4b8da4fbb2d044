"""A worker process: `python -m madang.corpus.worker`, fed through its standard input."""

from __future__ import annotations

import os
import pickle
import signal
import sys

from madang.corpus.parallel import pack, receive, send, unpack


def main() -> None:
    """Apply the function that comes first to every batch that comes after it."""
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = sys.stdin.buffer
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints must not get among the results.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    opening = receive(source)
    if opening is None:
        return
    function = pickle.loads(opening[1])  # noqa: S301 - from our own parent
    while (message := receive(source)) is not None:
        try:
            body = pack(function(unpack(message[1])))
        except Exception as error:
            send(results, _pickled(error), succeeded=False)
        else:
            send(results, body)


def _pickled(error: Exception) -> bytes:
    try:
        body = pickle.dumps(error)
        pickle.loads(body)  # noqa: S301 - an error whose constructor takes more than a message
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return body


if __name__ == "__main__":
    main()
