"""What transformers makes of an exported model: its ids, its template, its log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from madang.release.llama_cpp import Prompt
from madang.release.prompts import normalised


class Loaded:
    """A model and its tokenizer as `AutoModelForCausalLM` and `AutoTokenizer` load them.

    No code comes from the folder, and nothing from the network. The model reckons in float64, as
    our reference does, so that what differs is the export.
    """

    def __init__(self, folder: Path) -> None:
        """Load a folder. Raises ValueError with the end of a sentence where transformers cannot."""
        with _quiet() as transformers:
            try:
                self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
                self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                    folder, dtype=torch.float64, local_files_only=True, trust_remote_code=False
                ).eval()
            except Exception as error:
                # Whatever its many readers raise, the folder is not what they read.
                said = " ".join(str(error).split())[:300]
                raise ValueError(f"transformers cannot load it ({said})") from error

    def tokens(self, text: str, *, plain: bool = True) -> list[int]:
        """Return the ids of a text; with `plain`, what looks like a control token is text."""
        found = self._tokenizer(text, split_special_tokens=plain)
        return [int(number) for number in found["input_ids"]]

    def rendered(self, messages: Sequence[Mapping[str, str]], *, answer: bool) -> str:
        """Return a conversation as the folder's template writes it.

        With `answer`, up to where the assistant answers.
        """
        return str(
            self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=answer,
            )
        )

    def chat_tokens(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the ids of a whole conversation."""
        found = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=True, return_dict=True
        )
        return [int(number) for number in found["input_ids"]]

    def log_probabilities(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Return what follows at every `best` place of the prompts, [places, vocabulary]."""
        rows: list[NDArray[np.float32]] = []
        for prompt in prompts:
            with torch.inference_mode():
                found = self._model(
                    input_ids=torch.tensor([prompt.ids]),
                    use_cache=False,
                    logits_to_keep=torch.tensor(prompt.best) - 1,
                )
            rows.append(normalised(found.logits[0]))
        return np.concatenate(rows)


@contextmanager
def _quiet() -> Iterator[Any]:
    """Give transformers with its progress bars and warnings off, as they were afterwards."""
    import transformers

    logging: Any = transformers.utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield transformers
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
