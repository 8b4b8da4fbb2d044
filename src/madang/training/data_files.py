"""Files of examples to train on: JSON lines of conversations, of preferences, or of posts.

A line is one object: `{"messages": [{"role", "content"}, …]}`, `{"prompt", "chosen", "rejected"}`
with strings or lists of messages, or a post. What the first line holds, all must hold. Files are
read line by line, so that their size does not matter; a line that cannot be used becomes one
sentence, and its neighbours are read on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import orjson

# The longest post of X is 25,000 characters; a conversation of hundreds of them still fits.
MAX_LINE_BYTES: Final = 8 << 20
# Sentences that an error spells out; the others it only counts.
SHOWN_PROBLEMS: Final = 3
ROLES: Final = ("system", "user", "assistant")
_BOM: Final = b"\xef\xbb\xbf"
_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
# gzip, Zstandard, zip.
_PACKED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
_TEXT_KEYS: Final = ("text", "content", "full_text")

DataKind = Literal["conversations", "preferences", "posts"]


class DataFileError(ValueError):
    """A file of examples that cannot be trained on; the message is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: `role` is `system`, `user` or `assistant`."""

    role: str
    content: str

    def plain(self) -> dict[str, str]:
        """Return the form that chat templates take."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation and its line, from 1."""

    line: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Preference:
    """Two ways in which a conversation went on, the first one preferred."""

    line: int
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class PostLine:
    """A line that holds a post, as it stands. `posts.readers` knows its fields."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be used, and why, in one sentence that names file and line."""

    line: int
    sentence: str


Example = Conversation | Preference | PostLine


class _Unusable(Exception):  # noqa: N818
    """What is wrong with a line, as the end of a sentence."""


def detect_kind(path: Path) -> DataKind:
    """Return what a file holds, by the first line that is a JSON object.

    Raises DataFileError for a file that cannot be opened, is empty, or holds none of the three.
    """
    first_problem = None
    for line, raw in _lines(path):
        try:
            fields = _fields(raw)
            kind = _kind(fields)
        except _Unusable as problem:
            first_problem = first_problem or f"{path}: line {line}: {problem}"
            continue
        if kind is not None:
            return kind
        raise DataFileError(
            f"{path}: line {line}: has neither messages, nor chosen and rejected, nor a post's "
            f"text, but {_names(fields)}"
        )
    raise DataFileError(first_problem or f"{path} holds no examples")


def read_data_file(path: Path, kind: DataKind | None = None) -> Iterator[Example | BadLine]:
    """Yield one example or one BadLine for each line that is not blank.

    `kind` is detected where it is not given. Raises DataFileError as `detect_kind` does, when the
    first example is asked for.
    """
    expected = kind or detect_kind(path)
    for line, raw in _lines(path):
        try:
            yield _example(line, _fields(raw), expected)
        except _Unusable as problem:
            yield BadLine(line, f"{path}: line {line}: {problem}")


def read_conversations(path: Path) -> list[Conversation]:
    """Return all conversations of a file; raise DataFileError if any line is bad."""
    return [one for one in _all_good(path, "conversations") if isinstance(one, Conversation)]


def read_preferences(path: Path) -> list[Preference]:
    """Return all preferences of a file; raise DataFileError if any line is bad."""
    return [one for one in _all_good(path, "preferences") if isinstance(one, Preference)]


def refuse(sentences: list[str]) -> DataFileError:
    """Return the error that spells out the first few sentences and counts the others."""
    assert sentences
    shown = "; ".join(sentences[:SHOWN_PROBLEMS])
    others = len(sentences) - SHOWN_PROBLEMS
    more = f"; and {others:,} more lines" if others > 0 else ""
    return DataFileError(f"{shown}{more}; `madang train inspect FILE` shows them")


def _all_good(path: Path, wanted: DataKind) -> Iterator[Example]:
    found = detect_kind(path)
    if found != wanted:
        objective = {"conversations": "sft", "preferences": "dpo", "posts": "pretrain"}
        raise DataFileError(
            f"{path} holds {found} and not {wanted}; train on it with --objective "
            f"{objective[found]}"
        )
    problems = []
    for one in read_data_file(path, found):
        if isinstance(one, BadLine):
            problems.append(one.sentence)
        elif not problems:
            yield one
    if problems:
        raise refuse(problems)


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield number and bytes of each line that is not blank; None where it is too long."""
    try:
        with path.open("rb") as file:
            yield from _numbered(file, path)
    except OSError as error:
        raise DataFileError(f"{path} cannot be read: {error.strerror}") from None


def _numbered(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            if raw.startswith(_WIDE_BOMS):
                raise DataFileError(f"{path} is UTF-16 and not UTF-8; save it as UTF-8")
            if raw.startswith(_PACKED):
                raise DataFileError(f"{path} is packed; unpack it first")
            raw = raw.removeprefix(_BOM)
        if len(raw) > MAX_LINE_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE_BYTES)
            yield number, None
        elif raw.strip():
            yield number, raw


def _fields(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        raise _Unusable(f"is longer than {MAX_LINE_BYTES >> 20} MB")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _Unusable(f"is not UTF-8 at byte {error.start + 1}") from None
        raise _Unusable("is not valid JSON (one object on each line)") from None
    if not isinstance(value, dict):
        raise _Unusable(f"is {_type(value)} and not an object")
    return value


def _kind(fields: dict[str, Any]) -> DataKind | None:
    if "messages" in fields:
        return "conversations"
    if "chosen" in fields or "rejected" in fields:
        return "preferences"
    return "posts" if any(key in fields for key in _TEXT_KEYS) else None


def _example(line: int, fields: dict[str, Any], kind: DataKind) -> Example:
    if kind == "posts":
        if _kind(fields) != "posts":
            raise _Unusable(f"has no text, but {_names(fields)}")
        return PostLine(line, fields)
    if kind == "conversations":
        if "messages" not in fields:
            raise _Unusable(f"has no messages, but {_names(fields)}")
        return Conversation(line, _messages(fields["messages"], "messages"))
    return _preference(line, fields)


def _preference(line: int, fields: dict[str, Any]) -> Preference:
    for key in ("chosen", "rejected"):
        if key not in fields:
            raise _Unusable(f"has no {key}")
    prompt_given = fields.get("prompt") is not None
    prompt = _turns(fields["prompt"], "prompt", "user") if prompt_given else ()
    chosen = _turns(fields["chosen"], "chosen", "assistant")
    rejected = _turns(fields["rejected"], "rejected", "assistant")
    if not prompt_given:
        shared = _shared_turns(chosen, rejected)
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        if not prompt:
            raise _Unusable("has no prompt, and chosen and rejected do not begin alike")
    elif chosen[: len(prompt)] == prompt == rejected[: len(prompt)]:
        # Some data sets repeat the prompt in both.
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    if not chosen or not rejected:
        raise _Unusable("has nothing after the prompt in chosen or rejected")
    if chosen == rejected:
        raise _Unusable("has the same text as chosen and rejected, so nothing is preferred")
    return Preference(line, prompt, chosen, rejected)


def _shared_turns(chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> int:
    """Return how many turns both begin with, leaving each at least its last one."""
    most = min(len(chosen), len(rejected)) - 1
    return next((i for i in range(most) if chosen[i] != rejected[i]), max(most, 0))


def _turns(value: object, key: str, role: str) -> tuple[Message, ...]:
    """Return messages of a list, or the one message that a string stands for."""
    if isinstance(value, str):
        if not value.strip():
            raise _Unusable(f"has an empty {key}")
        return (Message(role, value),)
    return _messages(value, key)


def _messages(value: object, key: str) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise _Unusable(f"has {_type(value)} as {key} and not a list of messages")
    if not value:
        raise _Unusable(f"has no message in {key}")
    return tuple(_message(one, f"{key}[{place}]") for place, one in enumerate(value))


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise _Unusable(f"has {_type(value)} as {where} and not an object with role and content")
    role, content = value.get("role"), value.get("content")
    if role not in ROLES:
        told = repr(role)[:40] if isinstance(role, str) else _type(role)
        raise _Unusable(f"has the role {told} in {where}, which is none of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise _Unusable(f"has {_type(content)} as content of {where} and not a string")
    return Message(str(role), content)


def _type(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    return names[type(value)]


def _names(fields: dict[str, Any]) -> str:
    shown = ", ".join(name[:30] for name in list(fields)[:5])
    return shown or "no fields at all"
