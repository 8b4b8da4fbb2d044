"""What a model costs on a community's future posts and on general text, in bits per byte."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madang.evaluation.documents import Document, depth_bucket
from madang.evaluation.intervals import Interval, Spread, bootstrap, spread
from madang.evaluation.scoring import DocumentScore, score
from madang.model.transformer import Transformer
from madang.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Figure:
    """Bits per byte over some documents, and how sure that is for other documents like them.

    `bits_per_byte` is the sum of their nats over the sum of their bytes, so a long document weighs
    more than a short one; see `evaluation/scoring.py` for which tokens count.
    """

    bits_per_byte: float
    interval: Interval
    documents: int
    bytes: int
    tokens: int


@dataclass(frozen=True, slots=True)
class TextEvaluation:
    """A model on one kind of text: document by document, and summed up."""

    scores: tuple[DocumentScore, ...]

    @property
    def all(self) -> Figure | None:
        """The figure over every document; none where there is no document."""
        return _figure(self.scores) if self.scores else None

    @property
    def by_language(self) -> dict[str, Figure]:
        """A figure for each language, in alphabetical order."""
        return _grouped(self.scores, lambda document: document.language)

    @property
    def by_depth(self) -> dict[str, Figure]:
        """A figure for each depth of threads: 1, 2, 3-5, 6+."""
        return _grouped(self.scores, lambda document: depth_bucket(document.depth))

    def to_json(self) -> dict[str, object]:
        """Return the figures as plain values; what is unknown is null."""
        return {
            **(_figure_json(self.all) if self.all is not None else {"bits_per_byte": None}),
            "by_language": {key: _figure_json(value) for key, value in self.by_language.items()},
            "by_depth": {key: _figure_json(value) for key, value in self.by_depth.items()},
        }


@dataclass(frozen=True, slots=True)
class ModelEvaluation:
    """A model on what its community wrote after the training posts, and on general text."""

    future: TextEvaluation
    general: TextEvaluation

    def to_json(self) -> dict[str, object]:
        """Return the figures as plain values; what is unknown is null."""
        return {"future": self.future.to_json(), "general": self.general.to_json()}


@dataclass(frozen=True, slots=True)
class Change:
    """Two models on the same documents. `relative` is after / before - 1; negative is better."""

    before: float
    after: float
    relative: float
    interval: Interval
    documents: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What training changed; none where the two evaluations share no document of the kind."""

    future: Change | None
    general: Change | None
    future_by_language: dict[str, Change]
    general_by_language: dict[str, Change]

    def to_json(self) -> dict[str, object]:
        """Return the changes as plain values; what is unknown is null."""
        return {
            "future": _change_json(self.future),
            "general": _change_json(self.general),
            "future_by_language": {k: _change_json(v) for k, v in self.future_by_language.items()},
            "general_by_language": {
                k: _change_json(v) for k, v in self.general_by_language.items()
            },
        }


def evaluate_model(
    model: Transformer,
    tokenizer: Tokenizer,
    future: Iterable[Document],
    general: Iterable[Document],
    *,
    max_tokens: int | None = None,
) -> ModelEvaluation:
    """Return what a model costs on both kinds of text, each within `max_tokens` where given.

    The same documents are drawn every time; see `score` for the rule.
    """
    return ModelEvaluation(
        TextEvaluation(score(model, tokenizer, future, max_tokens=max_tokens)),
        TextEvaluation(score(model, tokenizer, general, max_tokens=max_tokens)),
    )


def compare(before: ModelEvaluation, after: ModelEvaluation) -> Comparison:
    """Return what changed, document by document; the tokenizers may differ.

    Only documents that both evaluations hold are compared. The interval is over resampled
    documents, each drawn with both of its scores. Raises ValueError where a document has the
    same key but another text.
    """
    return Comparison(
        future=_change(before.future.scores, after.future.scores),
        general=_change(before.general.scores, after.general.scores),
        future_by_language=_changes(before.future.scores, after.future.scores),
        general_by_language=_changes(before.general.scores, after.general.scores),
    )


def spread_over_seeds(evaluations: Sequence[ModelEvaluation]) -> dict[str, Spread]:
    """Return mean, deviation and interval over runs that differ in nothing but their seed.

    The keys are `future`, `general`, and each with the languages and depths that every run has:
    `future/ko`, `future/depth 2`. Raises ValueError for no evaluation.
    """
    if not evaluations:
        raise ValueError("a spread over seeds needs at least one evaluation")
    figures = [_named_figures(evaluation) for evaluation in evaluations]
    return {
        name: spread([each[name] for each in figures])
        for name in figures[0]
        if all(name in each for each in figures)
    }


def _named_figures(evaluation: ModelEvaluation) -> dict[str, float]:
    named: dict[str, float] = {}
    for name, text in (("future", evaluation.future), ("general", evaluation.general)):
        if text.all is not None:
            named[name] = text.all.bits_per_byte
        named |= {f"{name}/{key}": found.bits_per_byte for key, found in text.by_language.items()}
        named |= {
            f"{name}/depth {key}": found.bits_per_byte for key, found in text.by_depth.items()
        }
    return named


def _figure(scores: Sequence[DocumentScore]) -> Figure:
    nats, sizes = _arrays(scores)
    return Figure(
        bits_per_byte=_bits(nats, sizes),
        interval=bootstrap(len(scores), lambda drawn: _bits(nats[drawn], sizes[drawn])),
        documents=len(scores),
        bytes=int(sizes.sum()),
        tokens=sum(each.tokens for each in scores),
    )


def _grouped(scores: Sequence[DocumentScore], key: Callable[[Document], str]) -> dict[str, Figure]:
    groups: dict[str, list[DocumentScore]] = {}
    for each in scores:
        groups.setdefault(key(each.document), []).append(each)
    return {name: _figure(groups[name]) for name in sorted(groups)}


def _changes(before: Sequence[DocumentScore], after: Sequence[DocumentScore]) -> dict[str, Change]:
    found: dict[str, Change] = {}
    for language in sorted({each.document.language for each in before}):
        change = _change([s for s in before if s.document.language == language], after)
        if change is not None:
            found[language] = change
    return found


def _change(before: Sequence[DocumentScore], after: Sequence[DocumentScore]) -> Change | None:
    later = {each.document.key: each for each in after}
    pairs = [(each, later[each.document.key]) for each in before if each.document.key in later]
    if not pairs:
        return None
    for old, new in pairs:
        if old.document.texts != new.document.texts:
            raise ValueError(
                f"the document {old.document.key} is not the same text in both evaluations; "
                "evaluate both models on the same corpus"
            )
    old_nats, sizes = _arrays([old for old, _ in pairs])
    new_nats, _ = _arrays([new for _, new in pairs])

    def relative(drawn: NDArray[np.int64]) -> float:
        return float(new_nats[drawn].sum() / old_nats[drawn].sum()) - 1

    everything = np.arange(len(pairs))
    return Change(
        before=_bits(old_nats, sizes),
        after=_bits(new_nats, sizes),
        relative=relative(everything),
        interval=bootstrap(len(pairs), relative),
        documents=len(pairs),
    )


def _arrays(
    scores: Sequence[DocumentScore],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return (
        np.asarray([each.nats for each in scores], dtype=np.float64),
        np.asarray([each.document.bytes for each in scores], dtype=np.int64),
    )


def _bits(nats: NDArray[np.float64], sizes: NDArray[np.int64]) -> float:
    return float(nats.sum() / math.log(2) / sizes.sum())


def _figure_json(figure: Figure) -> dict[str, object]:
    return {
        "bits_per_byte": figure.bits_per_byte,
        "interval": _interval_json(figure.interval),
        "documents": figure.documents,
        "bytes": figure.bytes,
        "tokens": figure.tokens,
    }


def _change_json(change: Change | None) -> dict[str, object] | None:
    if change is None:
        return None
    return {
        "before": change.before,
        "after": change.after,
        "relative": change.relative,
        "interval": _interval_json(change.interval),
        "documents": change.documents,
    }


def _interval_json(interval: Interval) -> list[float] | None:
    return None if math.isnan(interval.low) else [interval.low, interval.high]
