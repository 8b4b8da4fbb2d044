"""Looking at a model while it learns: bits per byte on two kinds of text, and a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from madang.evaluation import Document, ModelEvaluation
    from madang.model.transformer import Transformer
    from madang.text.tokenizer import Tokenizer

# Looking at a model before and after takes about this share of its time together.
_SHARE: Final = 0.03
_LEAST_TOKENS: Final = 1024
_MOST_TOKENS: Final = 65_536
# Of the machine's measured peak, what a forward pass over short texts reaches.
_FORWARD_SHARE: Final = 0.6
SAMPLE_TOKENS: Final = 32
_TEMPERATURE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Texts:
    """What a model is measured on. `future` is empty where no post has a date."""

    future: tuple[Document, ...]
    general: tuple[Document, ...]


def texts_of(curated: Path | None) -> Texts:
    """Return the newest posts of a curated corpus and general texts in its languages."""
    from madang.evaluation import general_documents
    from madang.evaluation.documents import GENERAL_FILES

    future = future_documents(curated) if curated is not None else ()
    languages = {one.language.partition("-")[0] for one in future} & set(GENERAL_FILES)
    general = general_documents(sorted(languages or GENERAL_FILES))
    return Texts(future, general)


def future_documents(curated: Path) -> tuple[Document, ...]:
    """Return the documents of a curated corpus that are kept for evaluation."""
    from madang.corpus.curated import Curated
    from madang.evaluation import Document

    return tuple(
        Document(one.document, one.texts, one.language, one.depth)
        for one in Curated.open(curated).documents("future")
    )


def affordable_tokens(seconds: float, peak_flops: float, flops_a_token: float) -> int:
    """Return how many tokens of each kind may be looked at, for a run of so many seconds."""
    speed = _FORWARD_SHARE * peak_flops / max(flops_a_token, 1.0)
    tokens = int(_SHARE * seconds * speed / 4)
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, tokens))


def measure(
    model: Transformer, tokenizer: Tokenizer, texts: Texts, max_tokens: int | None
) -> ModelEvaluation:
    """Measure a model on both kinds of text."""
    from madang.evaluation import evaluate_model

    return evaluate_model(model, tokenizer, texts.future, texts.general, max_tokens=max_tokens)


def bits(found: ModelEvaluation) -> dict[str, float | None]:
    """Return the two figures that a curve shows."""
    future, general = found.future.all, found.general.all
    return {
        "future": None if future is None else future.bits_per_byte,
        "general": None if general is None else general.bits_per_byte,
    }


def before_and_after(
    before: Mapping[str, float | None] | None, after: Mapping[str, float | None] | None
) -> dict[str, dict[str, float | None]]:
    """Return both measurements as reports have them."""
    return {
        kind: {"before": (before or {}).get(kind), "after": (after or {}).get(kind)}
        for kind in ("future", "general")
    }


def write_sample(model: Any, tokenizer: Tokenizer, *, seed: int = 0) -> str:
    """Let a model begin a post of its own: a few words, drawn the same for the same weights."""
    import torch

    from madang.model.segments import Segments

    post = tokenizer.post
    ids = [tokenizer.end_of_text if post is None else post]
    stops = {tokenizer.end_of_text, *tokenizer.special.values()}
    generator = torch.Generator().manual_seed(seed)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for _ in range(SAMPLE_TOKENS):
                tokens = torch.tensor(ids)
                hidden = model.hidden(tokens, Segments.from_lengths(torch.tensor([len(ids)])))
                logits = model.logits(hidden[-1]).float()[: tokenizer.vocabulary_size]
                chances = torch.softmax(logits / _TEMPERATURE, dim=-1)
                drawn = int(torch.multinomial(chances, 1, generator=generator))
                if drawn in stops:
                    break
                ids.append(drawn)
    finally:
        model.train(was_training)
    return " ".join(tokenizer.decode(ids[1:]).split())
