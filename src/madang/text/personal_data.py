"""Personal data in a text: found, and blanked out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal["email", "phone", "id number", "card", "ip address", "secret"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class PersonalData:
    """One find: `text[start:end]`, in code points."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text without its personal data.

    `spans` are (start, end) of the original and (start, end) of the placeholder in `text`.
    """

    text: str
    kinds: Counter[str]
    spans: tuple[tuple[int, int, int, int], ...]


def find_personal_data(text: str) -> list[PersonalData]:
    """Return the personal data of a text in order; finds never overlap."""
    return list(_find(text))


def redact(text: str) -> Redaction:
    """Replace every find by its kind in brackets, `[email]`."""
    found = find_personal_data(text)
    if not found:
        return Redaction(text, Counter(), ())
    pieces: list[str] = []
    spans: list[tuple[int, int, int, int]] = []
    at = length = 0
    for one in found:
        kept, placeholder = text[at : one.start], f"[{one.kind}]"
        length += len(kept)
        spans.append((one.start, one.end, length, length + len(placeholder)))
        length += len(placeholder)
        pieces += (kept, placeholder)
        at = one.end
    pieces.append(text[at:])
    return Redaction("".join(pieces), Counter(one.kind for one in found), tuple(spans))


_EMAIL: Final = re.compile(r"(?<![\w@.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def _find(text: str) -> Iterator[PersonalData]:
    for match in _EMAIL.finditer(text):
        yield PersonalData("email", *match.span())
