"""A worker process: `python -m madang.corpus.worker`, fed through its standard input."""

from __future__ import annotations

import os
import pickle
import signal
import sys

from madang.corpus.parallel import pack, receive, send, unpack


def main() -> None:
    """Apply functions to batches, each sent after the function's name, until the input ends."""
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = sys.stdin.buffer
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints must not get among the results.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while (named := receive(source)) is not None and (message := receive(source)) is not None:
        try:
            function = pickle.loads(named[1])  # noqa: S301 - from our own parent
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
