"""What llama.cpp makes of an exported model: its ids, its template, its log-probabilities."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from madang.engines.openmp import llama_environment
from madang.release import llama_cpp_process

TIMEOUT_S: Final = 900.0
# Prompt and the one token after it, and room to round up.
_ROOM: Final = 64


class LlamaCppError(RuntimeError):
    """llama.cpp could not load or read a file; the message is the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to read, and after how many of them to look at what comes next.

    `whole` are the lengths after which the log-probability of every token is wanted, `best` those
    after which only the best token is; both rise, from 1 to the number of ids.
    """

    ids: tuple[int, ...]
    whole: tuple[int, ...]
    best: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What llama.cpp made of a model.

    `tokens` are the ids of each text as plain text, `parsed` those of each text in which control
    tokens are such, `rendered` each conversation as the file's own template writes it, up to
    where the assistant answers. `log_probabilities` is [whole places, vocabulary], natural
    logarithms; `best` is [best places].
    """

    tokens: list[list[int]]
    parsed: list[list[int]]
    rendered: list[str]
    log_probabilities: NDArray[np.float32]
    best: NDArray[np.int64]


def read_with_llama_cpp(
    path: Path,
    *,
    texts: Sequence[str],
    parsed: Sequence[str],
    conversations: Sequence[Sequence[Mapping[str, str]]],
    prompts: Sequence[Prompt],
    vocabulary: int,
    letter: int,
    threads: int,
) -> Reading:
    """Let llama.cpp read a GGUF file, with its cache in float32, in a process of its own.

    `letter` is the id of any token that is a letter. Raises LlamaCppError where it cannot.
    """
    longest = max((len(prompt.ids) for prompt in prompts), default=0)
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as libraries:
        job = {
            "path": str(path.absolute()),
            "folder": work,
            "texts": list(texts),
            "parsed": list(parsed),
            "conversations": [[dict(message) for message in each] for each in conversations],
            "prompts": [
                {"ids": prompt.ids, "whole": prompt.whole, "best": prompt.best}
                for prompt in prompts
            ],
            "vocabulary": vocabulary,
            "letter": letter,
            "context": -(-(longest + 1) // _ROOM) * _ROOM,
            "threads": threads,
        }
        try:
            ended = subprocess.run(  # noqa: S603
                [sys.executable, "-P", llama_cpp_process.__file__],
                input=json.dumps(job).encode() + b"\n",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=llama_environment(Path(libraries)),
                start_new_session=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LlamaCppError(f"llama.cpp took longer than {TIMEOUT_S:.0f} s") from None
        if ended.returncode != 0:
            raise LlamaCppError(_reason(ended.returncode, ended.stderr))
        answers = json.loads((Path(work) / "answers.json").read_text("utf-8"))
        return Reading(
            **answers,
            log_probabilities=np.load(Path(work) / "log_probabilities.npy"),
            best=np.load(Path(work) / "best.npy"),
        )


def _reason(status: int, said: bytes) -> str:
    """Return why the process ended, in the words of the last line that tells."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    telling = [line for line in lines if "rror" in line] or [line for line in lines if line]
    last = telling[-1] if telling else "it said nothing"
    return f"llama.cpp ended with {status} ({last[:300]})"
