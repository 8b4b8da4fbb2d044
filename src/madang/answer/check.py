"""Whether a sentence says no more than the posts that it cites.

Conservative: what cannot be read off the posts is not supported. Better a good sentence lost
than a wrong one said.
"""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501, SIM905

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from madang.answer.matching import strength
from madang.answer.polarity import negated_places, negations, turned_around
from madang.answer.values import Value, same_value, values
from madang.answer.words import (
    Profile,
    Word,
    decomposed,
    folded,
    open_letters,
    profile,
    verb_root,
    words,
)
from madang.posts import Post
from madang.text import sentences, stop_words

WINDOW: Final = 3
LEAST_SHARE: Final = 0.8
LEAST_IN_ORDER: Final = 0.6


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a sentence is supported; the reason is for people who look after the program.

    `post`, `start` and `end` say which words of which post support it.
    """

    supported: bool
    reason: str
    post: str | None = None
    start: int = 0
    end: int = 0


def supported(sentence: str, posts: Sequence[Post]) -> Verdict:
    """Check a sentence against the posts that it cites, which have to bear it one by one."""
    said = sentence.strip()
    if not any(c.isalnum() for c in said):
        return Verdict(False, "says nothing")
    if not posts:
        return Verdict(False, "cites nothing")
    for post in posts:
        span = _verbatim(said, post.text)
        if span is not None:
            return Verdict(True, "stands there word for word", post.id, *span)
    idle = _IDLE.search(said)
    if idle:
        return Verdict(False, f"is no statement of the posts: {idle[0].strip()!r}")
    verdict = Verdict(False, "cites nothing")
    for post in posts:
        verdict = _supported_by(said, post)
        if verdict.supported:
            return verdict
    return verdict


# Questions, orders, hedges and talk about the task are no statements.
_IDLE: Final = re.compile(
    r"[?？]\s*$"
    r"|\b(?:i think|i believe|i guess|in my opinion|as an ai|language model|i'm sorry|i am sorry"
    r"|i cannot|i can't|probably|perhaps|maybe|possibly|might|it seems|apparently|presumably|likely"
    r"|based on (?:the|these)|according to the (?:posts?|text|context|information)|the (?:posts?|text|context"
    r"|question|passage|answer|user) (?:says?|states?|mentions?|is|asks?|does)|here is|here are|sure[,!]"
    r"|of course[,!]|certainly[,!]|let me|feel free|hope this helps|please note|you should|you must|you can ask)\b"
    r"|아마|것 같|듯하|듯합|추측|인공지능|언어 모델|도움이 되|죄송하지만|(?:글|게시물|질문|본문)에 따르면|제 생각",
    re.IGNORECASE,
)


def _verbatim(said: str, text: str) -> tuple[int, int] | None:
    """Return where a run of whole sentences of a text is what is said, none where none is."""
    plain = _plain(said)
    spans = sentences(text)
    for first in range(len(spans)):
        for last in range(first, min(first + WINDOW, len(spans))):
            start, end = spans[first][0], spans[last][1]
            if _plain(text[start:end]) == plain:
                return start, end
    return (0, len(text)) if plain and _plain(text) == plain else None


def _plain(text: str) -> str:
    return folded(text).strip(" .!。~…\"'“”‘’")


def _supported_by(said: str, post: Post) -> Verdict:
    spans = sentences(post.text)
    if not spans:
        return Verdict(False, "the post has no words")
    byline = profile(f"{post.author_name or ''} @{post.author or ''}")
    verdict = Verdict(False, "says what the post does not say")
    # The smallest window that bears the sentence; several sentences may be drawn together.
    for size in range(1, min(WINDOW, len(spans)) + 1):
        for first in range(len(spans) - size + 1):
            start, end = spans[first][0], spans[first + size - 1][1]
            reason = _objection(said, post.text[start:end], byline)
            if reason is None:
                return Verdict(True, "every part stands there", post.id, start, end)
            if _telling(reason) >= _telling(verdict.reason):
                verdict = Verdict(False, reason)
    return verdict


def _telling(reason: str) -> int:
    """Return how far a check came before it objected; the farthest says most."""
    return next((i for i, start in enumerate(_STAGES) if reason.startswith(start)), 0)


_STAGES: Final = ("says what", "names", "the value", "negates", "turns", "swaps", "tells")


def _objection(said: str, source: str, byline: Profile) -> str | None:
    """Return why a sentence is not borne by a piece of a post, none where it is."""
    here = profile(source)
    taken = [(v.start, v.end) for v in values(said)]
    content = [
        word
        for word in words(said)
        if not _is_function(word)
        and not any(a <= word.start < b for a, b in taken)
        # What is written on to a number is its particle.
        and not (
            word.hangul and len(word.surface) < 3 and said[word.start - 1 : word.start].isdigit()
        )
    ]
    foreign = profile(said).hangul != here.hangul
    had = [_has(word, here, byline, foreign) for word in content]
    absent = [word for word, has in zip(content, had, strict=True) if not has]
    if len(content) - len(absent) < LEAST_SHARE * len(content):
        return "says what the post does not say: " + ", ".join(w.surface for w in absent[:4])
    for word in absent:
        if word.is_name or not word.surface.islower() or not (word.hangul and word.verbal):
            if word.hangul and word.verbal:
                continue
            return f"names {word.surface}, which the post does not"
    if not content and not values(said):
        return "says what the post does not say: no words of its own"
    for value in values(said):
        if not any(_same(value, other) for other in here.values):
            return f"names {said[value.start : value.end]}, which the post does not"
    for number in _DIGITS.findall(said):
        if number not in _numbers(source):
            return f"names {number}, which the post does not"
    misplaced = _misplaced_value(said, source)
    if misplaced:
        return f"the value {misplaced} belongs to something else"
    if negations(said) > negations(source) or not _same_polarity(said, source):
        return "negates where the post does not, or the other way round"
    turned = turned_around(said, source)
    if turned:
        return f"turns around what the post says: {turned!r}"
    swapped = _swapped_roles(content, here)
    if swapped:
        return f"swaps who does what: {swapped}"
    if not foreign and not (
        _in_order(content, here)
        and _values_in_order(said, source)
        and all(_together(part, source) for part in _clauses(said))
    ):
        return "tells it in another order, which may change who does what"
    return None


def _has(word: Word, here: Profile, byline: Profile, foreign: bool) -> bool:
    if word.surface.startswith("@"):
        return word.stems[0] in here.stems | byline.stems
    # Another word for the same thing is taken across languages only.
    return any(
        _stands(word, text) or (foreign and strength(word, text) >= 0.6) for text in (here, byline)
    )


def _stands(word: Word, text: Profile) -> bool:
    """Return whether a text has a word itself, in whatever form."""
    if not word.hangul:
        return max(word.stems, key=len) in text.stems
    stem = word.stems[0]
    letters = open_letters(stem)
    root = verb_root(word.surface) if word.verbal else ""
    for other in text.words:
        if not other.hangul:
            continue
        if other.surface.startswith(stem) or other.stems[0] == stem:
            return True
        if len(stem) > 1 and (
            (len(letters) >= 4 and decomposed(other.surface).startswith(letters))
            or (root and verb_root(other.surface) == root)
        ):
            return True
    return False


_ENGLISH_FUNCTION: Final = stop_words.ENGLISH | frozenset(
    """
    also there here just so then but if because while until till since per each both all any not
    no never yes only up out off over under more less before after first last
    """.split()
)
_KOREAN_FUNCTION: Final = frozenset(
    """
    그리고 그래서 하지만 그런데 또한 또 및 등 수 것 때 이 그 저 안 못 더 덜 약 총 모두 다 만 잘
    좀 이상 이하 오전 오후 있다 있습니다 있어요 있고 있는 없다 없습니다 없어요 없는 합니다 해요
    한다 됩니다 돼요 된다 입니다 이다 이에요 예요 않습니다 않아요 않는다 아닙니다 아니다
    아니에요 했습니다 했어요 했다 됐습니다 됐어요 됐다 대한 위해 통해 따라 부터 까지
    """.split()
)


def _is_function(word: Word) -> bool:
    if word.hangul:
        return word.surface in _KOREAN_FUNCTION
    plain = word.surface.lower().replace("’", "'")
    return (
        plain in _ENGLISH_FUNCTION
        or plain.removesuffix("'s") in _ENGLISH_FUNCTION
        or (plain.endswith("n't"))
    )


def _same(value: Value, other: Value) -> bool:
    if same_value(value, other):
        return True
    # Bare numbers only lack their unit; `5` of a date is no `5` of a price.
    loose = {"number", "ordinal", "year"}
    return (
        {value.kind, other.kind} <= loose
        and value.key == other.key
        and (not value.unit or not other.unit or value.unit == other.unit)
    )


_DIGITS: Final = re.compile(r"\d+(?:[.,:]\d+)*")


def _numbers(text: str) -> frozenset[str]:
    """Return the numbers of a text as they are written, and what values spell otherwise."""
    found = set(_DIGITS.findall(text))
    for value in values(text):
        found |= {value.key.rstrip("?"), *re.split(r"[-:?]", value.key)}
        if value.key.isdigit():
            found.add(f"{int(value.key):,}")
    for value in [v for v in values(text) if v.kind == "time"]:
        hour, _, minute = value.key.rstrip("?").partition(":")
        found |= {f"{int(hour):02d}:{minute}", str(int(hour) % 12 or 12)}
        found |= {f"{int(hour) % 12 or 12}:{minute}"}
    return frozenset(found)


_CLAUSE: Final = re.compile(r"(?:[^,;/()\n·–—.!?]|(?<=\d)[,/.](?=\d)|(?<=[A-Z])\.)+")


def _misplaced_value(said: str, source: str) -> str | None:
    """Return a value that the source gives to another word than the sentence does.

    In `adults 4,500 won, residents 2,200 won` each clause has its own value, and a word that
    stands only with another value of the same kind does not go with this one.
    """
    profiles = [profile(clause) for clause in _clauses(source)]
    for value in values(said):
        own = [p for p in profiles if any(_same(value, other) for other in p.values)]
        others = [
            p
            for p in profiles
            if p not in own and any(other.kind == value.kind for other in p.values)
        ]
        if not own or not others:
            continue
        around = next(
            (
                said[slice(*m.span())]
                for m in _CLAUSE.finditer(said)
                if m.start() <= value.start < m.end()
            ),
            said,
        )
        for word in words(around):
            if _is_function(word):
                continue
            if any(_stands(word, p) for p in others) and not any(_stands(word, p) for p in own):
                return said[value.start : value.end]
    return None


_Focus = tuple[list[Word], list[Value]]


def _same_polarity(said: str, source: str) -> bool:
    """Return whether what a sentence negates is what its source negates, and the other way."""
    (words_said, values_said), (words_there, values_there) = _negated(said), _negated(source)
    there = [profile(word.surface) for word in words_there]
    here = [profile(word.surface) for word in words_said]
    if words_said and not any(_stands(word, p) for word in words_said for p in there):
        return False
    if (
        values_said
        and not words_said
        and not any(_same(one, other) for one in values_said for other in values_there)
    ):
        return False
    for word in words(said):
        negated_there = not _is_function(word) and any(_stands(word, p) for p in there)
        if negated_there and not any(_stands(word, p) for p in here):
            return False
    return not any(
        any(_same(value, other) for other in values_there)
        and not any(_same(value, other) for other in values_said)
        for value in values(said)
    )


def _negated(text: str) -> _Focus:
    """Return the words and values that the negations of a text turn around.

    That is the next one or two in the clause, and for Korean endings the one before.
    """
    found: _Focus = ([], [])
    items: list[Word | Value] = [word for word in words(text) if not _is_function(word)]
    items = [i for i in items if not any(v.start <= i.start < v.end for v in values(text))]
    items += values(text)
    items.sort(key=lambda item: item.start)
    for at, forward in negated_places(text):
        clause = next(
            (m.span() for m in _PART.finditer(text) if m.start() <= max(at - 1, 0) < m.end()),
            (0, len(text)),
        )
        inside = [item for item in items if clause[0] <= item.start < clause[1]]
        after = [item for item in inside if item.start >= at][:2]
        before = [item for item in inside if item.start < at][-1:]
        for item in (after or before) if forward else (before or after[:1]):
            if isinstance(item, Word):
                found[0].append(item)
            else:
                found[1].append(item)
    return found


_PART: Final = re.compile(r"(?:[^,;()\n–—.!?]|(?<=\d)[.,](?=\d))+")

_SUBJECT: Final = re.compile(r"(?:이|가|께서)$")
_OBJECT: Final = re.compile(r"(?:을|를|에게|한테|께|에게서|한테서)$")


def _swapped_roles(content: Sequence[Word], here: Profile) -> str | None:
    """Return a Korean word that does in the sentence what is done to it in the source."""
    for word in content:
        if not word.hangul:
            continue
        for role, other in ((_SUBJECT, _OBJECT), (_OBJECT, _SUBJECT)):
            if not role.search(word.surface):
                continue
            stem = word.stems[0]
            same = [w.surface for w in here.words if w.hangul and w.stems[0] == stem]
            if any(other.search(s) for s in same) and not any(role.search(s) for s in same):
                return word.surface
    return None


def _clauses(text: str) -> list[str]:
    return [text[slice(*match.span())] for match in _CLAUSE.finditer(text)]


def _together(said: str, source: str) -> bool:
    """Return whether one clause of a sentence comes from one clause of its source.

    Drawn from several, it may give one clause's predicate to another's subject; then the words
    have to follow one another in the source with little left out between them.
    """
    here = profile(source)
    content = [w for w in words(said) if not _is_function(w) and _stands(w, here)]
    for clause in _clauses(source):
        there = profile(clause)
        if all(_stands(word, there) for word in content):
            return True
    places = _places(content, here)
    if places != sorted(places):
        return False
    telling = [i for i, word in enumerate(here.words) if not _is_function(word)]
    spanned = sum(1 for i in telling if places and places[0] <= i <= places[-1])
    return len(set(places)) >= LEAST_IN_ORDER * spanned


def _in_order(content: Sequence[Word], here: Profile) -> bool:
    """Return whether the words stand in the source in nearly the same order.

    Names are taken strictly: two of them in another order may have changed their parts.
    """
    names = [w for w in content if not w.hangul and w.is_name and w.start]
    in_text = _places(names, here)
    if in_text != sorted(in_text):
        return False
    places = _places(content, here)
    return len(places) < 2 or _longest_rise(places) >= LEAST_IN_ORDER * len(places)


def _values_in_order(said: str, source: str) -> bool:
    """Return whether each value follows the words that it follows in the source.

    `From Monday 2 November the last boat is at 17:20` says of the boat that it is at 17:20;
    `the last boat is on Monday 2 November` has all the words and another meaning. Another order
    is borne where no value of the source's clause was left out.
    """
    return all(
        _follows(said, value, source) or not _left_out(said, value, source)
        for value in values(said)
    )


def _follows(said: str, value: Value, source: str) -> bool:
    here = profile(source)
    ends = max((other.start for other in here.values if _same(value, other)), default=-1)
    before = [w for w in words(said) if w.end <= value.start and not _is_function(w)]
    return all(
        any(other.start < ends for other in here.words if _is_word(word, other))
        for word in before
        if any(_is_word(word, other) for other in here.words)
    )


def _left_out(said: str, value: Value, source: str) -> bool:
    """Return whether a clause that has a value has others, of time or money, that are not said."""
    told = values(said)
    for clause in _clauses(source):
        there = profile(clause).values
        if any(_same(value, other) for other in there):
            return any(
                other.kind in _TELLING_VALUES and not any(_same(one, other) for one in told)
                for other in there
            )
    return True


_TELLING_VALUES: Final = frozenset({"time", "date", "money"})


def _is_word(word: Word, other: Word) -> bool:
    return other.hangul == word.hangul and (
        other.stems[0] == word.stems[0] or (word.hangul and word.stems[0] in other.surface)
    )


def _places(content: Sequence[Word], here: Profile) -> list[int]:
    """Return where words stand in a text, each after the one before it where it can."""
    places: list[int] = []
    for word in content:
        found = [i for i, other in enumerate(here.words) if _is_word(word, other)]
        if found:
            last = places[-1] if places else -1
            places.append(next((at for at in found if at > last), found[0]))
    return places


def _longest_rise(places: Sequence[int]) -> int:
    """Return the length of the longest run of places that never goes back (patience sorting)."""
    tails: list[int] = []
    for place in places:
        at = bisect_left(tails, place)
        tails[at : at + 1] = [place]
    return len(tails)
