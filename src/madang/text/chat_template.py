"""The chat template: one file that drives training masks, Hugging Face, GGUF and the server.

It is ChatML as SmolLM2-Instruct writes it, message by message; for conversations that begin with
a system message, the strings are the same. SmolLM2's own template puts a system message of its
maker before those that have none; ours adds nothing, because a community's model is not SmolLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from madang.text.tokenizer import Tokenizer

CHAT_TEMPLATE: Final = (
    resources.files("madang.text").joinpath("chat_template.jinja").read_text("utf-8")
)
ROLES: Final = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class EncodedChat:
    """A conversation as token ids; `trained` says of each whether a model learns to write it."""

    ids: list[int]
    trained: list[bool]


def render(messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = False) -> str:
    """Return a conversation as one string.

    `messages` have `role` (system, user or assistant) and `content`. Raises ValueError for any
    other message.
    """
    _check(messages)
    return str(
        _template().render(
            messages=[dict(message) for message in messages],
            add_generation_prompt=add_generation_prompt,
        )
    )


def encode_chat(tokenizer: Tokenizer, messages: Sequence[Mapping[str, str]]) -> EncodedChat:
    """Return the ids of a conversation, and which a model learns to write.

    These are the assistant's contents and the token that ends each of its turns. The ids are
    those of `apply_chat_template` in transformers, but that a special token's name inside a
    content is plain text. Raises ValueError where there is nothing to learn (no assistant's
    message, or an empty one) or a turn of the assistant has no token that ends it.
    """
    _check(messages)
    _check_learnable(messages)
    ids: list[int] = []
    trained: list[bool] = []
    # Text between two special tokens is encoded as one, as any reader of the whole string does.
    text = ""
    learnt = len(text)  # Where in `text` the assistant's words begin.
    ends_turn = False

    def close(learns: bool) -> None:
        nonlocal text
        piece, starts = tokenizer.encode_with_starts(text)
        ids.extend(piece)
        trained.extend(learns and start >= learnt for start in starts)
        text = ""

    for number, (before, content) in enumerate(_parts(messages)):
        for is_special, piece in _split(before, tokenizer.special):
            if is_special:
                close(ends_turn)
                ids.append(tokenizer.special[piece])
                trained.append(ends_turn)
                if ends_turn and tokenizer.special[piece] != tokenizer.end_of_turn:
                    raise ValueError(_NO_END.format(number))
                ends_turn = False
            elif ends_turn and piece:
                raise ValueError(_NO_END.format(number))
            else:
                text += piece
        if content is not None:
            learnt = len(text)
            text += content
            ends_turn = messages[number]["role"] == "assistant"
    if ends_turn:
        raise ValueError(_NO_END.format(len(messages)))
    close(False)
    return EncodedChat(ids, trained)


_NO_END: Final = (
    "message {}, the assistant's, has no token that ends its turn; "
    "use a tokenizer with the special token <|im_end|>"
)


def _parts(messages: Sequence[Mapping[str, str]]) -> list[tuple[str, str | None]]:
    """Return what the template writes before each content with that content, then what follows."""
    mark = "\ue000"
    while any(mark in message["content"] or mark in message["role"] for message in messages):
        mark += "\ue000"
    blank = [{"role": message["role"], "content": f"{mark}\ue001"} for message in messages]
    *before, after = render(blank).split(f"{mark}\ue001")
    assert len(before) == len(messages), "the template writes each content once"
    contents = (message["content"] for message in messages)
    return [*zip(before, contents, strict=True), (after, None)]


def _split(text: str, special: Mapping[str, int]) -> list[tuple[bool, str]]:
    """Cut what the template wrote at the names of special tokens; (is special, piece)."""
    pieces: list[tuple[bool, str]] = []
    while text:
        found = [(text.find(name), -len(name), name) for name in special if name in text]
        if not found:
            return [*pieces, (False, text)]
        at, _, name = min(found)
        if at:
            pieces.append((False, text[:at]))
        pieces.append((True, name))
        text = text[at + len(name) :]
    return pieces


def _check(messages: Sequence[Mapping[str, str]]) -> None:
    for number, message in enumerate(messages, 1):
        if message.get("role") not in ROLES:
            raise ValueError(
                f"message {number} has the role {message.get('role')!r}; "
                f"the roles are {', '.join(ROLES)}"
            )
        if not isinstance(message.get("content"), str):
            raise ValueError(f"message {number} has no text in its content")


def _check_learnable(messages: Sequence[Mapping[str, str]]) -> None:
    answers = [
        (number, message["content"])
        for number, message in enumerate(messages, 1)
        if message["role"] == "assistant"
    ]
    if not answers:
        raise ValueError("the chat has no assistant message, so there is nothing to learn from it")
    for number, content in answers:
        if not content.strip():
            raise ValueError(
                f"message {number}, the assistant's, is empty, so there is nothing to learn from it"
            )


@cache
def _template() -> Any:
    # The settings are those of transformers and llama.cpp, which read the same file.
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(CHAT_TEMPLATE)
