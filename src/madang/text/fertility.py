"""Fertility: how many tokens a vocabulary spends on a word, by language.

Rust et al. 2021 (https://arxiv.org/abs/2012.15613) compare tokenizers by it. A word is what stands
between spaces, in Korean the eojeol; one that writes without spaces is compared by characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from madang.text.tokenizer import Tokenizer

_BATCH_TEXTS: Final = 1024


@dataclass(frozen=True, slots=True)
class Fertility:
    """Counts over texts, and the ratios by which vocabularies are compared (0 without text)."""

    texts: int = 0
    tokens: int = 0
    words: int = 0
    characters: int = 0
    bytes: int = 0

    @property
    def tokens_a_word(self) -> float:
        """Tokens a word, or eojeol: 1 at best."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def tokens_a_character(self) -> float:
        """Tokens a code point, spaces included."""
        return self.tokens / self.characters if self.characters else 0.0

    @property
    def bytes_a_token(self) -> float:
        """UTF-8 bytes a token: how much longer texts are than what is computed."""
        return self.bytes / self.tokens if self.tokens else 0.0

    def __add__(self, other: Fertility) -> Fertility:
        return Fertility(
            self.texts + other.texts,
            self.tokens + other.tokens,
            self.words + other.words,
            self.characters + other.characters,
            self.bytes + other.bytes,
        )


def fertility_by_language(
    tokenizer: Tokenizer, texts: Iterable[tuple[str, str]]
) -> dict[str, Fertility]:
    """Return the fertility over `(language, text)` pairs, by language, most tokens first."""
    found: dict[str, Fertility] = {}
    pairs = iter(texts)
    while batch := list(islice(pairs, _BATCH_TEXTS)):
        encoded = tokenizer.encode_batch([text for _, text in batch])
        for (language, text), ids in zip(batch, encoded, strict=True):
            one = Fertility(1, len(ids), len(text.split()), len(text), len(text.encode()))
            found[language] = found.get(language, Fertility()) + one
    return dict(sorted(found.items(), key=lambda item: (-item[1].tokens, item[0])))
