"""Search tokens: what a text is found by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Iterator
from operator import add
from threading import Lock
from typing import Final, NamedTuple

import Stemmer

from madang.text import stop_words
from madang.text.folding import align, fold, is_plain

_RULES: Final = 1
TERMS_VERSION: Final = (
    f"{_RULES} snowball-{Stemmer.version()} unicode-{unicodedata.unidata_version}"
)
"""Changes whenever the terms of some text change; an index of another version is rebuilt."""

LONGEST_TERM: Final = 64
"""Code points after which a term is cut."""


class Token(NamedTuple):
    """A term and the code points of the text that it stands for: `text[start:end]`."""

    term: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Return the terms of a text with their places, in order of start.

    Several terms may share a place: a tag is found by its words and as a whole.
    """
    found: list[Token] = []
    for match in _CHUNK.finditer(text):
        offset = match.start()
        found += [Token(term, offset + a, offset + b) for term, a, b in _chunk_tokens(match[0])]
    return found


def terms(text: str) -> list[str]:
    """Return the terms of a text: those of `tokens`, in the same order, faster."""
    return joined_terms(text).split()


def joined_terms(text: str) -> str:
    """Return the terms of a text in one string, with spaces between; no term holds a space."""
    return " ".join(map(_joined_chunk, text.split()))


def find_terms(text: str, wanted: Container[str]) -> list[Token]:
    """Return those of `tokens` whose term is wanted, without placing the others."""
    found: list[Token] = []
    for match in _CHUNK.finditer(text):
        if any(term in wanted for term in _joined_chunk(match[0]).split()):
            offset = match.start()
            found += [
                Token(term, offset + a, offset + b)
                for term, a, b in _chunk_tokens(match[0])
                if term in wanted
            ]
    return found


def query_terms(text: str) -> list[str]:
    """Return the distinct terms of a question, in order, without words that only ask.

    Where a question has nothing else, those words stay.
    """
    telling: list[str] = []
    for chunk in text.split():
        if _asks(chunk):
            continue
        telling += _joined_chunk(chunk).split()
    return list(dict.fromkeys(telling or terms(text)))


def _asks(chunk: str) -> bool:
    word = fold(chunk).strip(_QUOTES_AND_MARKS)
    return word.replace("’", "'").removesuffix("'s") in stop_words.ENGLISH or (
        word in stop_words.KOREAN
    )


_QUOTES_AND_MARKS: Final = "?!.,:;'\"()[]{}<>…~“”‘’«»「」『』《》〈〉·？！。、"
_CHUNK: Final = re.compile(r"\S+")

_HANGUL: Final = "\uac00-\ud7a3\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb"
_JAMO: Final = "\u3131-\u318e\uffa1-\uffdc"
# Scripts written without spaces between words: Han, kana, bopomofo, Thai, Lao, Burmese, Khmer.
_UNSPACED: Final = (
    "\u2e80-\u2fd5\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u309d-\u30fa\u30fc-\u30ff"
    "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U000323af"
    "\u0e01-\u0e4e\u0e81-\u0ece\u1000-\u103f\u1780-\u17d3"
)
# Marks that stand inside words and that `\w` leaves out: combining accents, Cyrillic, Hebrew,
# Arabic, and the vowel signs of the Indic scripts.
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
    "\u0981-\u0983\u09bc-\u09cd\u0a01-\u0a03\u0a3c-\u0a4d\u0a81-\u0a83\u0abc-\u0acd\u0b01-\u0b03"
    "\u0b3c-\u0b57\u0b82\u0bbe-\u0bcd\u0c00-\u0c04\u0c3e-\u0c56\u0c81-\u0c83\u0cbc-\u0cd6"
    "\u0d00-\u0d03\u0d3b-\u0d4d\u0d81-\u0d83\u0dca-\u0ddf"
)
_LETTER: Final = f"[^\\W\\d_{_HANGUL}{_JAMO}{_UNSPACED}]"
_WORD: Final = f"{_LETTER}+(?:[{_MARKS}]+{_LETTER}*)*"
_EMOJI: Final = (
    "\u231a\u231b\u23e9-\u23f3\u2600-\u27bf\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f004\U0001f0cf\U0001f170-\U0001f19a\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
)
# Endings of names without a scheme that are read as hosts; others are words around a full stop.
_TOP_LEVEL: Final = "com|org|net|edu|gov|io|ly|me|tv|co|kr|jp|uk|de|fr|eu|gl|be|us|ca|app|dev|ai"
_HOST: Final = r"(?:[^\W_](?:[\w-]*[^\W_])?\.)+"

_PATTERN: Final = re.compile(
    rf"""
    (?P<url> (?i:https?://(?:www\.)?|www\.)[^\s<>"]+ )
  | (?P<tag> (?<!\w)\#(?=\d*[^\W\d])[\w{_MARKS}·]+ )
  | (?P<mention> (?<![\w.])@\w+(?:@{_HOST}[^\W\d_]{{2,}})? )
  | (?P<host> (?<![\w@.-]){_HOST}(?i:{_TOP_LEVEL})(?![\w-]|\.\w) )
  | (?P<number> \d+(?:[.,:]\d+)* )
  | (?P<word> {_WORD}(?:['’]{_WORD})* )
  | (?P<hangul> [{_HANGUL}]+ )
  | (?P<jamo> [{_JAMO}]+ )
  | (?P<unspaced> [{_UNSPACED}]+ )
  | (?P<flag> [\U0001f1e6-\U0001f1ff]{{2}} )
  | (?P<emoji> (?P<same>[{_EMOJI}])(?P=same)* )
    """,
    re.VERBOSE,
)

_Place = tuple[str, int, int]


def _chunk_tokens(chunk: str) -> list[_Place]:
    """Return the terms of a text without spaces, with their places in it."""
    if is_plain(chunk):
        return list(_places(chunk))
    aligned, starts, ends = align(chunk)
    return [(term, starts[a], ends[b - 1]) for term, a, b in _places(aligned)]


def _places(chunk: str) -> Iterator[_Place]:
    for match in _PATTERN.finditer(chunk):
        kind = match.lastgroup if match.lastgroup != "same" else "emoji"
        yield from _READ[kind or "word"](match)


def _read_url(match: re.Match[str]) -> Iterator[_Place]:
    start, end = match.span()
    host = _HOST_OF_URL.match(match.string, start, end)
    if host:
        yield from _host(match.string, *host.span("host"))


_HOST_OF_URL: Final = re.compile(r"(?i:https?://)?(?i:www\.)?(?:[^/@\s]*@)?(?P<host>[\w.-]*\w)")


def _read_host(match: re.Match[str]) -> Iterator[_Place]:
    yield from _host(match.string, *match.span())


def _host(text: str, start: int, end: int) -> Iterator[_Place]:
    """Yield the host as a whole and the names in it, but for the last: `bbc.co.uk`, `bbc`, `co`."""
    host = text[start:end]
    yield _cut(fold(host)), start, end
    names = list(_NAME.finditer(host))
    for name in names[:-1]:
        yield from _words(host, name.start(), name.end(), start)


_NAME: Final = re.compile(r"[^.]+")


def _read_tag(match: re.Match[str]) -> Iterator[_Place]:
    start, end = match.span()
    yield _cut(fold(match[0])), start, end
    yield from _parts(match.string, start + 1, end)


def _read_mention(match: re.Match[str]) -> Iterator[_Place]:
    start, end = match.span()
    handle = match[0]
    yield _cut(fold(handle)), start, end
    at = handle.find("@", 1)
    if at > 0:
        end = start + at
        yield _cut(fold(handle[:at])), start, end
    yield from _parts(match.string, start + 1, end)


def _parts(text: str, start: int, end: int) -> Iterator[_Place]:
    """Yield the words inside a tag or a handle: `HurricaneIrma` is `hurricane` and `irma` too."""
    name = text[start:end]
    humps = list(_HUMP.finditer(name))
    if len(humps) > 1 and name.isalpha():
        yield _word(name), start, end
    for hump in humps:
        yield from _words(name, hump.start(), hump.end(), start)


_HUMP: Final = re.compile(
    r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+(?:[^\s_\dA-Za-z]*)"
)


def _words(text: str, start: int, end: int, offset: int) -> Iterator[_Place]:
    for match in _PATTERN.finditer(text, start, end):
        read = _READ.get(match.lastgroup or "")
        if read is not None:
            yield from ((term, a + offset, b + offset) for term, a, b in read(match))


def _read_number(match: re.Match[str]) -> Iterator[_Place]:
    yield normal_number(match[0]), match.start(), match.end()


def normal_number(number: str) -> str:
    """Return the one way a number is written as a term: `1,200` as `1200`, `07:30` as `7:30`."""
    if not number.isascii():
        number = "".join(str(int(c)) if c.isdecimal() else c for c in number)
    if _THOUSANDS.fullmatch(number):
        return number.replace(",", "")
    if _TIME.fullmatch(number):
        return number.removeprefix("0") if number[1] != ":" else number
    return _cut(number)


_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_TIME: Final = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")


def _read_word(match: re.Match[str]) -> Iterator[_Place]:
    word, start = match[0], match.start()
    if "'" not in word and "’" not in word:
        yield _word(word), start, match.end()
        return
    pieces = list(_PIECE.finditer(word))
    last = fold(pieces[-1][0])
    if last == "t" and fold(pieces[-2][0]).endswith("n"):
        pieces = pieces[:-2]
        joined = _PIECE.finditer(word)
        at = next(p.start() for i, p in enumerate(joined) if i == len(pieces))
        tail = [(_word(word[at:].replace("'", "").replace("’", "")), start + at, match.end())]
    else:
        tail = []
        if last in _CLITICS:
            pieces = pieces[:-1]
    for piece in pieces:
        yield _word(piece[0]), start + piece.start(), start + piece.end()
    yield from tail


_PIECE: Final = re.compile(r"[^'’]+")
# What follows an apostrophe and adds no word: dog's, they're, we'll, I've, I'm, she'd.
_CLITICS: Final = frozenset({"s", "re", "ll", "ve", "m", "d"})


def _read_hangul(match: re.Match[str]) -> Iterator[_Place]:
    return _bigrams(match[0], match.start())


def _read_unspaced(match: re.Match[str]) -> Iterator[_Place]:
    return _bigrams(fold(match[0]), match.start())


def _bigrams(run: str, offset: int) -> Iterator[_Place]:
    if len(run) == 1:
        yield run, offset, offset + 1
    for i in range(len(run) - 1):
        yield run[i : i + 2], offset + i, offset + i + 2


def _read_jamo(match: re.Match[str]) -> Iterator[_Place]:
    """Yield ㅋㅋㅋㅋ as ㅋㅋ, and other runs as pairs."""
    for same in _SAME_JAMO.finditer(match[0]):
        start, end = same.span()
        yield from ((t, match.start() + start, match.start() + end) for t in (same[0][:2],))


_SAME_JAMO: Final = re.compile(r"(.)\1+|.{1,2}")


def _read_emoji(match: re.Match[str]) -> Iterator[_Place]:
    yield match[0][0], match.start(), match.end()


def _read_flag(match: re.Match[str]) -> Iterator[_Place]:
    yield match[0], match.start(), match.end()


_READ: Final[dict[str, Callable[[re.Match[str]], Iterator[_Place]]]] = {
    "url": _read_url,
    "tag": _read_tag,
    "mention": _read_mention,
    "host": _read_host,
    "number": _read_number,
    "word": _read_word,
    "hangul": _read_hangul,
    "jamo": _read_jamo,
    "unspaced": _read_unspaced,
    "flag": _read_flag,
    "emoji": _read_emoji,
}


def _cut(term: str) -> str:
    return term[:LONGEST_TERM]


class _Memo(dict[str, str]):
    """What was computed lately, in two generations: when the young one is full, the old one goes.

    A lookup that succeeds costs no Python call, which is what the speed of `terms` rests on.
    """

    limit: Final = 1 << 16

    def __init__(self, compute: Callable[[str], str]) -> None:
        self._compute = compute
        self._old: dict[str, str] = {}

    def __missing__(self, key: str) -> str:
        value = self._old.get(key)
        if value is None:
            value = self._compute(key)
        if len(key) <= _LONGEST_REMEMBERED:
            if len(self) >= self.limit:
                self._old = self.copy()
                self.clear()
            self[key] = value
        return value


_LONGEST_REMEMBERED: Final = 24
_EDGES: Final = "\"'().,:;!?~…“”‘’"
_PLAIN_WORDS: Final = re.compile(r"[A-Za-z]+(?:[-/*()\[\]\"&;!?+=|~]+[A-Za-z]+)*(?:'s)?")
_ASCII_WORD: Final = re.compile("[A-Za-z]+")
_SYLLABLES: Final = re.compile("[\uac00-\ud7a3]+")
_STEMMER: Final = Stemmer.Stemmer("english", 0)
# A stemmer keeps its buffer between calls and is not safe among threads.
_STEMMING: Final = Lock()


def _stem(word: str) -> str:
    folded = fold(word)[:LONGEST_TERM]
    if not folded.isascii():
        return folded
    with _STEMMING:
        return str(_STEMMER.stemWord(folded))


def _join_chunk(chunk: str) -> str:
    # Most chunks are one plain word between marks; the pattern is not needed for them.
    word = chunk.strip(_EDGES)
    if word.isascii() and word.isalpha():
        return _word(word)
    if _SYLLABLES.fullmatch(word):
        return " ".join(map(add, word, word[1:])) or word
    if _PLAIN_WORDS.fullmatch(word):
        return " ".join(map(_word, _ASCII_WORD.findall(word.removesuffix("'s"))))
    return " ".join([term for term, _, _ in _chunk_tokens(chunk)])


_word: Final = _Memo(_stem).__getitem__
_joined_chunk: Final = _Memo(_join_chunk).__getitem__
