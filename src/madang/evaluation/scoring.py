r"""Nats of every document under a model, each token with as much context as the model takes.

Counted are the tokens of the texts, no others: the sum of their -ln p, over the UTF-8 bytes of the
same texts. What marks the posts' borders (`<|post|>`, or "\n\n" where there is no such token)
and the end token are context: models are told where a post begins, and gain nothing by foreseeing
it. So a model that has learned our way of writing threads has no advantage over one that has not,
and as the bytes do not depend on the tokenizer, models with different tokenizers can be compared.
The first token of a document follows `<|post|>`, or `<|endoftext|>` where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from madang.evaluation.documents import Document, in_sampling_order
from madang.model.segments import Segments
from madang.model.transformer import Transformer
from madang.text.tokenizer import Tokenizer

BETWEEN_POSTS: Final = "\n\n"
IGNORED: Final = -100
# Tokens a forward pass: enough to fill the matrix products, little enough for small memories.
BATCH_TOKENS: Final = 4096
# One document may take this share of a limited evaluation, so that it does not stand for all.
_LARGEST_SHARE: Final = 1 / 8


@dataclass(frozen=True, slots=True)
class DocumentScore:
    """A document's cost under one model: `nats` over `tokens` that spell out `bytes`."""

    document: Document
    nats: float
    tokens: int

    @property
    def bits_per_byte(self) -> float:
        """Bits that the model needs for a byte of this document."""
        return self.nats / math.log(2) / self.document.bytes


@dataclass(frozen=True, slots=True)
class Encoded:
    """`inputs` and `targets`, both [n]; a target that is not counted is `IGNORED`."""

    document: Document
    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]

    @property
    def counted(self) -> int:
        """The number of tokens that spell out the texts."""
        return int((self.targets != IGNORED).sum())


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of the document at `index`, no longer than the model's context."""

    index: int
    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]


def score(
    model: Transformer,
    tokenizer: Tokenizer,
    documents: Iterable[Document],
    *,
    max_tokens: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> tuple[DocumentScore, ...]:
    """Return the cost of each document that has any text, in sampling order.

    A document is read whole. One that is longer than the model's context is read in windows of
    that length, each of which begins half a window after the one before it and counts only what
    that one did not: no token but the first ones has less than half the context before it.

    With `max_tokens`, documents are taken in sampling order as long as they fit; those longer
    than an eighth of it are left out. At least one document is taken.
    """
    texts = in_sampling_order([document for document in documents if document.bytes])
    encoded = list(_take((encode(tokenizer, document) for document in texts), max_tokens))
    nats = [0.0] * len(encoded)
    for batch in _batches(_windows(encoded, model.config.context), batch_tokens):
        for index, cost in _costs(model, batch):
            nats[index] += cost
    return tuple(
        DocumentScore(one.document, cost, one.counted)
        for one, cost in zip(encoded, nats, strict=True)
    )


def encode(tokenizer: Tokenizer, document: Document) -> Encoded:
    """Return a document as the model reads it, and which of its tokens are counted."""
    post, between = tokenizer.post, tokenizer.encode(BETWEEN_POSTS)
    ids = [] if post is not None else [tokenizer.end_of_text]
    counted = [False] * len(ids)
    for text in tokenizer.encode_batch(list(document.texts)):
        # As `join_posts` does it, so that a model reads here what it was trained on.
        border = [post] if post is not None else between if len(ids) > 1 else []
        ids += [*border, *text]
        counted += [False] * len(border) + [True] * len(text)
    tokens = np.asarray(ids, dtype=np.int64)
    targets = np.where(counted, tokens, IGNORED)
    return Encoded(document, tokens[:-1], targets[1:])


def _take(encoded: Iterable[Encoded], max_tokens: int | None) -> Iterator[Encoded]:
    """Yield the documents that fit the limit; see `score`."""
    if max_tokens is None:
        yield from encoded
        return
    left = max_tokens
    shortest: Encoded | None = None
    taken = False
    for one in encoded:
        length = len(one.inputs)
        if length > max_tokens * _LARGEST_SHARE:
            if shortest is None or length < len(shortest.inputs):
                shortest = one
            continue
        if length > left:
            break
        left -= length
        taken = True
        yield one
    if not taken and shortest is not None:
        yield shortest


def _windows(encoded: Sequence[Encoded], context: int) -> Iterator[_Window]:
    stride = max(context // 2, 1)
    for index, one in enumerate(encoded):
        seen = 0
        for start in range(0, len(one.inputs), stride):
            stop = min(start + context, len(one.inputs))
            targets = one.targets[start:stop].copy()
            targets[: seen - start] = IGNORED
            yield _Window(index, one.inputs[start:stop], targets)
            seen = stop
            if stop == len(one.inputs):
                break


def _batches(windows: Iterable[_Window], tokens: int) -> Iterator[list[_Window]]:
    batch: list[_Window] = []
    held = 0
    for window in windows:
        if batch and held + len(window.inputs) > tokens:
            yield batch
            batch, held = [], 0
        batch.append(window)
        held += len(window.inputs)
    if batch:
        yield batch


def _costs(model: Transformer, batch: Sequence[_Window]) -> Iterator[tuple[int, float]]:
    """Yield the index of each window's document and the nats of what the window counts."""
    device = next(model.parameters()).device
    lengths = [len(window.inputs) for window in batch]
    inputs = torch.from_numpy(np.concatenate([window.inputs for window in batch])).to(device)
    targets = torch.from_numpy(np.concatenate([window.targets for window in batch])).to(device)
    segments = Segments.from_lengths(torch.tensor(lengths, dtype=torch.int32), device=device)
    # Not inference_mode: what a sharded model gathers here, its next step writes into.
    with torch.no_grad():
        found = model.log_probabilities(inputs, segments, targets)
    costs = np.split(-found.double().cpu().numpy(), np.cumsum(lengths)[:-1])
    for window, cost in zip(batch, costs, strict=True):
        yield window.index, float(cost.sum())
