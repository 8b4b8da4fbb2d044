"""The process in which llama.cpp reads an exported model, exactly; started by `llama_cpp.py`.

A file of its own that imports nothing of Madang. It takes one line of JSON from standard input,
answers through files in the folder that the line names, and ends. llama.cpp aborts on some damaged
models and keeps its memory; here neither reaches the program that publishes.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

TIMEOUT_S = 600.0


def main() -> None:
    """Do the job that standard input names, and leave without tearing the model down."""
    job = json.loads(sys.stdin.readline())
    key = secrets.token_urlsafe(32)
    # Everything that native code prints goes to standard error.
    os.dup2(2, 1)
    server = load(job, key)
    with httpx.Client(
        base_url=server.listening_address,
        headers={"Authorization": f"Bearer {key}"},
        timeout=TIMEOUT_S,
        trust_env=False,
    ) as client:
        answers = {
            "tokens": [tokenize(client, text, parse=False) for text in job["texts"]],
            "parsed": [tokenize(client, text, parse=True) for text in job["parsed"]],
            "rendered": [
                ask(client, "/apply-template", {"messages": messages})["prompt"]
                for messages in job["conversations"]
            ],
        }
        found, best = read(client, job["prompts"], job["vocabulary"], job["letter"])
    folder = Path(job["folder"])
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
    np.save(folder / "log_probabilities.npy", found)
    np.save(folder / "best.npy", best)
    os._exit(0)


def load(job: dict[str, Any], key: str) -> Any:
    """Return the server of a model that keeps its cache in float32. Raises RuntimeError."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = job["path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = False
    params.endpoint_props = False
    params.offline = True

    params.n_ctx = job["context"]
    params.n_parallel = 1
    params.fit_params = False
    params.n_batch = params.n_ubatch = job["context"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
    params.cache_ram_mib = 0
    params.warmup = False
    params.enable_reasoning = 0
    params.verbosity = 1
    # The cache is in float16 as a rule, and flash attention sums up in an order of its own.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(params)


def tokenize(client: httpx.Client, text: str, *, parse: bool) -> list[int]:
    """Return a text's ids, with what the model's file wants before and after it.

    With `parse`, what looks like a control token is one.
    """
    body = {"content": text, "add_special": True, "parse_special": parse}
    return [int(number) for number in ask(client, "/tokenize", body)["tokens"]]


def read(
    client: httpx.Client, prompts: list[dict[str, Any]], vocabulary: int, letter: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return what follows each prompt at its positions.

    Each prompt has `ids`, and numbers of tokens after which to look: `whole` for the
    log-probabilities of the whole vocabulary, [sum of whole, vocabulary], and `best` for the id of
    the best token only, [sum of best]. `letter` is the id of a token that is whole in UTF-8.
    """
    found: list[NDArray[np.float32]] = []
    best: list[int] = []
    for prompt in prompts:
        # In rising order each request reads only what the one before it has not.
        for length in sorted({*prompt["whole"], *prompt["best"]}):
            whole = length in prompt["whole"]
            first = ask(
                client,
                "/completion",
                {
                    "prompt": prompt["ids"][:length],
                    "n_predict": 1,
                    "n_probs": vocabulary if whole else 1,
                    "temperature": 0.0,
                    "cache_prompt": True,
                    # The server tells nothing of a token that is a part of a character, so it has
                    # to choose a letter. What it tells is as before: it is not of the choice.
                    "logit_bias": [[letter, 1e9]],
                },
            )["completion_probabilities"][0]["top_logprobs"]
            if whole:
                found.append(log_probabilities(first, vocabulary))
            if length in prompt["best"]:
                best.append(int(first[0]["id"]))
    return (
        np.stack(found) if found else np.zeros((0, vocabulary), dtype=np.float32),
        np.asarray(best, dtype=np.int64),
    )


def log_probabilities(entries: list[dict[str, Any]], vocabulary: int) -> NDArray[np.float32]:
    """Return the entries' log-probabilities by id, [vocabulary]; NaN where there is none.

    The server sums up float32 probabilities one by one, which over a large vocabulary is wrong by
    some 1e-4, the same for every token; they are made to sum up to 1.
    """
    row = np.full(vocabulary, np.nan)
    row[[entry["id"] for entry in entries]] = [entry["logprob"] for entry in entries]
    return np.asarray(row - np.log(np.exp(row).sum()), dtype=np.float32)


def ask(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """Return the server's answer. Raises RuntimeError where it refuses."""
    response = client.post(path, json=body)
    if response.status_code != httpx.codes.OK:
        raise RuntimeError(f"{path}: {response.status_code} {response.text[:300]}")
    return response.json()


if __name__ == "__main__":
    main()
