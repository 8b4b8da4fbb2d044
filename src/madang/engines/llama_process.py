"""The process that runs llama.cpp: started by `EmbeddedEngine`, ended when its parent ends.

A file of its own that imports nothing of Madang, so that it starts quickly. It reads one line of
JSON (see `EmbeddedEngine`) from standard input, loads the model, writes `{"address": …}` to
standard output, and lives until standard input closes, which also happens when the parent is
killed. llama.cpp takes over signal handlers, aborts on some damaged models and keeps its memory;
here none of that reaches the program that people talk to.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from contextlib import suppress
from typing import Any

LOWER_PRIORITY = 5


def main() -> None:
    """Load the model, say where it listens, and wait."""
    parent = os.getppid()
    settings = json.loads(sys.stdin.readline())
    if hasattr(os, "nice"):
        # The page and the search stay quick while the model works.
        with suppress(OSError):
            os.nice(LOWER_PRIORITY)

    # Everything that native code prints goes to standard error.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    server = load(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    answer.write(json.dumps({"address": server.listening_address}) + "\n")
    answer.close()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)

    # The end of the pipe says that the parent has ended; where another process holds the pipe
    # open too, a new parent says it.
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], 1.0)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            break
    # Tearing a model down in good order takes longer than anybody wants to wait for.
    os._exit(0)


def load(settings: dict[str, Any]) -> Any:
    """Return the running server of a model. Raises RuntimeError where it cannot be loaded."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = False
    params.endpoint_props = False
    params.offline = True

    params.n_ctx = settings["context_length"] * settings["parallel"]
    params.n_parallel = settings["parallel"]
    params.fit_params = False
    # A small batch leaves a cancelled generation soon, also while it reads its prompt.
    params.n_batch = params.n_ubatch = settings["batch"]
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["batch_threads"]
    params.n_threads_http = 16
    # Prompts of conversations that are over are not worth gigabytes.
    params.cache_ram_mib = 0
    params.warmup = False
    params.enable_reasoning = 0
    params.embedding = settings["embeddings"]
    if settings["embeddings"]:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.verbosity = 1
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
