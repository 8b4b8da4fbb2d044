"""What generates text: the contract of every engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Feature = Literal["grammar", "json_schema", "logprobs"]


class EngineError(Exception):
    """The engine could not do what it was asked; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of generated text; `logprob` is natural, or none where the engine gives none."""

    text: str
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to generate. `deadline_s` bounds the whole generation; a late one is cut, not an error.

    `grammar` is GBNF, `json_schema` a JSON schema as text; each of them and `logprobs` may only
    be set where the engine supports it, and only one of `grammar` and `json_schema` at a time.
    The same seed on the same engine gives the same text as long as nothing else runs beside it.
    Raises ValueError for a figure out of range.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    json_schema: str | None = None
    logprobs: bool = False
    deadline_s: float = 20.0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; it is at least 1")
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}; it is 0 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it is above 0 and at most 1")
        if not self.deadline_s > 0:
            raise ValueError(f"deadline_s is {self.deadline_s}; it is above 0")
        if "" in self.stop:
            raise ValueError("an empty stop would end every answer before it begins")
        if self.grammar and self.json_schema:
            raise ValueError("a grammar and a JSON schema cannot be asked for at once")


class Engine(Protocol):
    """Generates text from messages. Thread-safe: several generations may run at once."""

    @property
    def name(self) -> str:
        """The model's name, as people should see it."""
        ...

    @property
    def remote(self) -> bool:
        """Whether messages leave this machine on their way to the model."""
        ...

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together that fit one request."""
        ...

    def supports(self, feature: Feature) -> bool:
        """Return whether a feature may be asked for."""
        ...

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Piece]:
        """Yield pieces as they are generated.

        Where the iterator has `close`, any thread may call it to end the generation; letting go
        of the iterator ends it too. The content of a message is text and nothing else: what
        looks like a control token of the model in it is not one. Raises ValueError for a feature
        that is not supported, and EngineError where the engine cannot be reached or refuses.
        """
        ...

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of a text; control tokens in it are read as plain text.

        Raises EngineError where the engine does not tell its tokens.
        """
        ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text. Raises EngineError where the model has no embeddings."""
        ...

    def cancel(self) -> None:
        """End every generation that runs now; their iterators stop within a second."""
        ...

    def close(self) -> None:
        """Give back memory, threads and sockets. Calling it again is harmless."""
        ...
