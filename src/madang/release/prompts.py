"""What exports are compared on: texts, conversations, and prompts with the places to look at."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from madang.evaluation.documents import Document, general_documents
from madang.evaluation.scoring import encode
from madang.model.segments import Segments
from madang.model.transformer import Transformer
from madang.release.llama_cpp import Prompt
from madang.text.chat_template import encode_chat
from madang.text.tokenizer import Tokenizer

CONVERSATIONS: Final = (
    (
        {"role": "system", "content": "You answer from the posts of a town, and name them."},
        {"role": "user", "content": "When does the first ferry leave?\n\nOn a Sunday, I mean."},
        {"role": "assistant", "content": "At 9:10 from pier 2 [1].\n\n```\n9:10  11:40\n```"},
        {"role": "user", "content": "  그럼 마지막 배는 몇 시야? ⛴️"},
        {"role": "assistant", "content": "저녁 7시 30분입니다. {{ 2 }} {% raw %}"},
    ),
    (
        {"role": "user", "content": "안녕하세요"},
        {"role": "assistant", "content": "안녕하세요! 무엇을 도와드릴까요?"},
    ),
)
"""Each ends with the assistant; none holds the name of a special token."""

_TEXTS_A_LANGUAGE: Final = 3
_SHORT: Final = 40
_LONG: Final = 512
# Places to look at: as many as take llama.cpp some ten seconds, and fit the memory. The whole
# vocabulary is asked for at some of them only, since that is megabytes of JSON each time.
_PLACES: Final = 256
_PLACES_VALUES: Final = 16_000_000
_WHOLE: Final = 96
_WHOLE_VALUES: Final = 1_200_000
_FEWEST_WHOLE: Final = 8


@dataclass(frozen=True, slots=True)
class Reference:
    """What our own model says after each prompt's `best` places.

    `log_probabilities` is float32 [places of all prompts, vocabulary]; `whole` says at which of
    them every program is asked for the whole vocabulary, bool [places].
    """

    prompts: tuple[Prompt, ...]
    log_probabilities: NDArray[np.float32]
    whole: NDArray[np.bool_]


def comparison_prompts(tokenizer: Tokenizer, *, vocabulary: int, context: int) -> list[Prompt]:
    """Return prompts of both languages, a conversation and a long text, none above the context.

    Places are spread evenly over each prompt, the last token among them. Their number falls with
    the vocabulary's size. What follows a first token alone is not looked at: there SmolLM2's state
    holds 20,000 and takes it away again ("massive activations", arXiv:2402.17762), so that float32
    itself is wrong by up to 1e-3, and coarser weights by far more than at any other place.
    """
    documents = general_documents()
    long = Document("", tuple(document.texts[0] for document in documents), "und")
    limit = max(context - 1, 1)
    rows = [_ids(tokenizer, document)[: min(_SHORT, limit)] for document in _a_few(documents)]
    rows.append(encode_chat(tokenizer, CONVERSATIONS[0]).ids[:limit] if _chats(tokenizer) else [])
    rows.append(_ids(tokenizer, long)[: min(_LONG, limit)])
    rows = [row for row in rows if row]

    places = max(min(_PLACES, _PLACES_VALUES // vocabulary), len(rows))
    whole = max(min(_WHOLE, _WHOLE_VALUES // vocabulary), _FEWEST_WHOLE)
    return [
        Prompt(tuple(row), _spread(best, -(-whole // len(rows))), best)
        for row in rows
        for best in (_spread(range(min(2, len(row)), len(row) + 1), -(-places // len(rows))),)
    ]


def reference(model: Transformer, prompts: Sequence[Prompt]) -> Reference:
    """Ask our own model for the log-probabilities at every place of the prompts.

    A copy of it reckons in float64, so that what differs is the other program's rounding alone;
    float32 moves confident models by more than half of what an export may differ.
    """
    whole = [np.isin(prompt.best, prompt.whole) for prompt in prompts]
    exact = log_probabilities(copy.deepcopy(model).double(), prompts)
    return Reference(tuple(prompts), exact, np.concatenate(whole))


def log_probabilities(model: Transformer, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
    """Return what our model says at every `best` place of the prompts, [places, vocabulary]."""
    device = next(model.parameters()).device
    rows: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for prompt in prompts:
            tokens = torch.tensor(prompt.ids, dtype=torch.int64, device=device)
            segments = Segments.from_lengths([len(prompt.ids)], device=device)
            last = torch.tensor(prompt.best, device=device) - 1
            rows.append(normalised(model.logits(model.hidden(tokens, segments)[last])))
    return np.concatenate(rows)


def normalised(logits: torch.Tensor) -> NDArray[np.float32]:
    """Return log-probabilities of logits, summed up in float64; both [rows, vocabulary]."""
    result: NDArray[np.float32] = torch.log_softmax(logits.double(), -1).float().cpu().numpy()
    return result


def _ids(tokenizer: Tokenizer, document: Document) -> list[int]:
    return [int(token) for token in encode(tokenizer, document).inputs]


def _a_few(documents: tuple[Document, ...]) -> list[Document]:
    languages = dict.fromkeys(document.language for document in documents)
    return [
        document
        for language in languages
        for document in [d for d in documents if d.language == language][:_TEXTS_A_LANGUAGE]
    ]


def _chats(tokenizer: Tokenizer) -> bool:
    return tokenizer.end_of_turn is not None


def _spread(values: Sequence[int], count: int) -> tuple[int, ...]:
    """Return at most `count` of the values, evenly spread, the last one among them."""
    chosen = np.linspace(len(values) - 1, 0, max(min(count, len(values)), 1)).round().astype(int)
    return tuple(values[index] for index in sorted(set(chosen.tolist())))
