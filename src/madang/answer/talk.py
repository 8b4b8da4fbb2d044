"""The model's own words: greetings, drafts, translations; and whether they may leave."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
import threading
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from madang.answer.answer import Turn
from madang.answer.retriever import Retriever
from madang.answer.words import words
from madang.engines.engine import Engine, EngineError, Message, Sampling
from madang.search.hit import Filters
from madang.text import sentences

_INSTRUCTIONS: Final[dict[Literal["ko", "en"], str]] = {
    # Whether a reply claims something about the community is checked; told not to, a small
    # model speaks of nothing else.
    "en": "You are a helpful AI assistant named Madang. Reply in a few short sentences.",
    "ko": "당신은 친절한 AI 도우미 마당입니다. 한국어로 짧고 쉽게 답하세요.",
}
MOST_TURNS: Final = 6
LONGEST_TURN: Final = 2000


def conversation(message: str, lang: Literal["ko", "en"], history: Sequence[Turn]) -> list[Message]:
    """Return the messages for a reply in the model's own words."""
    earlier = [Message(turn.role, turn.content[:LONGEST_TURN]) for turn in history[-MOST_TURNS:]]
    return [
        Message("system", _INSTRUCTIONS[lang]),
        *earlier,
        Message("user", message[: LONGEST_TURN * 2]),
    ]


_HANGUL: Final = re.compile(r"[가-힣]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_WANTS_ENGLISH: Final = re.compile(r"영어로|영문으로|in english|into english", re.IGNORECASE)
_WANTS_KOREAN: Final = re.compile(r"한국어로|한글로|우리말로|(?:in|into|to) korean", re.IGNORECASE)


def wanted_language(message: str, lang: Literal["ko", "en"]) -> Literal["ko", "en"]:
    """Return the language that a reply should be in: what the message wants, else its own."""
    if _WANTS_ENGLISH.search(message):
        return "en"
    return "ko" if _WANTS_KOREAN.search(message) else lang


def readable(reply: str, lang: Literal["ko", "en"], said: str = "") -> bool:
    """Return whether a reply is in a language, no babble, and more than an echo of what was said.

    Babble repeats itself: it can be packed far smaller than writing can.
    """
    letters = len(_LETTER.findall(reply))
    if letters < 2 or reply.strip(" .!?").lower() == said.strip(" .!?").lower():
        return False
    hangul = len(_HANGUL.findall(reply)) / letters
    if (hangul < 0.5) if lang == "ko" else (hangul > 0.5):
        return False
    written = reply.encode()
    if len(written) > 60 and len(zlib.compress(written)) < 0.4 * len(written):
        return False
    told = [reply[start:end].lower().strip(" .!?") for start, end in sentences(reply)]
    chunks = reply.lower().split()
    triples = Counter(zip(chunks, chunks[1:], chunks[2:], strict=False))
    return len(set(told)) == len(told) and max(triples.values(), default=0) <= 2


_ABOUT_COMMUNITY: Final = re.compile(
    r"\b(?:the|these|your|our|recent) posts?\b|\b(?:in|of|from|by) (?:this|the|our|your) (?:community|town|village|forum|group)\b"
    r"|\b(?:members?|residents?|locals|people here|villagers|townspeople)\b|\baccording to\b|@\w"
    r"|올라온 글|게시글|게시물|커뮤니티|회원들|주민들|우리 동네|이 동네|마을 사람",
    re.IGNORECASE,
)


def claims_about_community(reply: str, said: str, retriever: Retriever) -> bool:
    """Return whether a reply claims something about the community or anybody in it.

    Names that the person wrote themselves (`said`) are theirs to use: in a translation, say.
    """
    theirs = said.lower()
    for start, end in sentences(reply):
        sentence = reply[start:end]
        about = _ABOUT_COMMUNITY.search(sentence)
        if about and about[0].lower() not in theirs:
            return True
        for word in words(sentence)[1:]:
            name = word.surface.strip("@#'")
            named = word.is_name or (word.hangul and len(word.stems[0]) >= 2)
            if (
                named
                and name.lower() not in theirs
                and _is_member(word.stems[-1] if word.hangul else name, retriever)
            ):
                return True
    return False


def _is_member(name: str, retriever: Retriever) -> bool:
    """Return whether a name is an author's, as the posts that it finds are signed."""
    if len(name) < 2:
        return False
    plain = name.lower()
    return any(
        plain
        in re.split(r"[\s_.\-@]+", f"{hit.post.author or ''} {hit.post.author_name or ''}".lower())
        or (not plain.isascii() and plain in (hit.post.author_name or ""))
        for hit in retriever.search(name, limit=3, filters=Filters())
    )


_NO_KOREAN: Final = re.compile(r"smol", re.IGNORECASE)
_known: dict[str, bool] = {}
_knowing: Final = threading.Lock()


def writes(engine: Engine, lang: Literal["ko", "en"]) -> bool:
    """Return whether an engine writes a language; Korean is tried out once for each model."""
    if lang == "en":
        return True
    if _NO_KOREAN.search(engine.name):
        return False
    with _knowing:
        if engine.name not in _known:
            try:
                _known[engine.name] = _writes_korean(engine)
            except EngineError:
                # An engine that cannot be reached is asked again the next time.
                return False
        return _known[engine.name]


def _writes_korean(engine: Engine) -> bool:
    asked = [Message("user", "바다에 대해 한국어로 한 문장만 써 주세요.")]
    sampling = Sampling(max_tokens=40, deadline_s=6.0)
    return readable("".join(piece.text for piece in engine.generate(asked, sampling)), "ko")
