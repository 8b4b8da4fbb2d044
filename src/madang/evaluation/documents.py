"""The texts that a model is measured on: the community's future posts, and general prose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

# Written for this project, so that no model has seen them and every copy of Madang has them.
GENERAL_FILES: Final = {"en": "general_en.txt", "ko": "general_ko.txt"}
_BETWEEN_TEXTS: Final = "\n%\n"


@dataclass(frozen=True, slots=True)
class Document:
    """A thread, post by post, or a single text.

    `key` names it for good (pairs of evaluations meet by it). `language` is BCP 47 or `und`;
    `depth` is the number of levels of the thread, 1 for a post without a reply.
    """

    key: str
    texts: tuple[str, ...]
    language: str
    depth: int = 1

    @property
    def bytes(self) -> int:
        """The length of its texts in UTF-8; what stands between posts is not counted."""
        return sum(len(text.encode()) for text in self.texts)


def general_documents(languages: Iterable[str] = tuple(GENERAL_FILES)) -> tuple[Document, ...]:
    """Return short general texts in these languages, encyclopaedic and narrative.

    They tell whether a model that learned a community forgot how people write elsewhere.
    Raises ValueError for a language that there is none in.
    """
    documents: list[Document] = []
    for language in languages:
        if language not in GENERAL_FILES:
            known = ", ".join(GENERAL_FILES)
            raise ValueError(f"there is no general text in {language!r}; there is in {known}")
        text = files("madang.evaluation").joinpath(GENERAL_FILES[language]).read_text("utf-8")
        documents.extend(
            Document(f"general:{language}:{number}", (part.strip(),), language)
            for number, part in enumerate(text.split(_BETWEEN_TEXTS), start=1)
        )
    return tuple(documents)


def in_sampling_order(documents: Sequence[Document]) -> list[Document]:
    """Return the documents in an order that only their keys decide.

    The first n of it are a fair sample, and the sample of a smaller limit is part of that of a
    larger one.
    """
    return sorted(
        documents,
        key=lambda document: hashlib.blake2b(document.key.encode(), digest_size=16).digest(),
    )


def depth_bucket(depth: int) -> str:
    """Return the group that a thread's depth is reported in."""
    if depth <= 2:
        return str(max(depth, 1))
    return "3-5" if depth <= 5 else "6+"
