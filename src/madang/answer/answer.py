"""An answer: sentences, each with the posts that support it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from madang.posts import Post

Route = Literal["posts", "talk", "help"]
SentenceKind = Literal["quoted", "generated", "own"]


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote of a post: `post.text[start:end] == quote`, offsets in Unicode code points."""

    post: str
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an answer.

    `quoted` stands word for word in a post, `generated` was written by a model and checked
    against the posts that it cites, `own` is the model's or the program's own words and makes no
    claim about the community.
    """

    text: str
    kind: SentenceKind
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    `as_of` is the time, as it reads now, of the newest post that it cites; where it declines, of
    the newest of the nearest posts that it shows. `took_ms` has search, extract, draft, check and
    total, always all of them.
    """

    question: str
    lang: str
    route: Route
    abstained: bool
    sentences: tuple[Sentence, ...]
    evidence: tuple[Post, ...]
    as_of: datetime | None
    engine: str
    took_ms: dict[str, float]

    @property
    def text(self) -> str:
        """The answer as plain text, without markers."""
        return " ".join(sentence.text for sentence in self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `ask --json`."""
        return {
            "answer": self.text,
            "route": self.route,
            "abstained": self.abstained,
            "sentences": [
                {
                    "text": sentence.text,
                    "kind": sentence.kind,
                    "citations": [
                        {"post": c.post, "quote": c.quote, "start": c.start, "end": c.end}
                        for c in sentence.citations
                    ],
                }
                for sentence in self.sentences
            ],
            "evidence": [post.id for post in self.evidence],
            "as_of": self.as_of.isoformat().replace("+00:00", "Z") if self.as_of else None,
            "engine": self.engine,
            "took_ms": {stage: round(ms, 2) for stage, ms in self.took_ms.items()},
        }


# The steps of an answer as it is made, in this order: sources first, the quoted extract next,
# sentences of prose as each passes its check (or the model's own words), the whole answer last.


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """The evidence, before anything is written."""

    route: Route
    evidence: tuple[Post, ...]


@dataclass(frozen=True, slots=True)
class ExtractReady:
    """Quoted sentences that answer; the final answer may replace them by prose that passed."""

    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class SentenceChecked:
    """One sentence that may leave the room."""

    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole answer; what it holds is what counts."""

    answer: Answer


Step = SourcesFound | ExtractReady | SentenceChecked | Finished


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: the last message, what came before it, and what may be cited (`only`)."""

    question: str
    history: tuple[Turn, ...] = ()
    only: tuple[str, ...] | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = field(default=())
