"""The words of a text as an answer compares them: stems, meanings, names, values."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from madang.answer import concepts
from madang.answer.values import Value, values
from madang.text import fold, sentences, terms

_CHUNK: Final = re.compile(
    r"(?:https?://|www\.)\S+|@\w+|[가-힣]+|#?[^\W\d_가-힣]+(?:['’\-][^\W\d_가-힣]+)*|#?[^\W가-힣]+"
)

# What follows a Korean stem between spaces: particles and endings, longest first.
_KOREAN_ENDINGS: Final = sorted(
    [
        "은",
        "는",
        "이",
        "가",
        "을",
        "를",
        "의",
        "에",
        "도",
        "만",
        "와",
        "과",
        "로",
        "으로",
        "에서",
        "에게",
        "한테",
        "께",
        "부터",
        "까지",
        "처럼",
        "보다",
        "마다",
        "이나",
        "나",
        "이랑",
        "랑",
        "하고",
        "에는",
        "에도",
        "에선",
        "에서는",
        "에서도",
        "으로는",
        "로는",
        "이라",
        "라",
        "이라도",
        "라도",
        "이란",
        "란",
        "이라는",
        "라는",
        "이라고",
        "라고",
        "네",
        "네는",
        "네가",
        "들",
        "들이",
        "들은",
        "들을",
        "들의",
        "께서",
        "이야",
        "야",
        "이에요",
        "예요",
        "이예요",
        "에요",
        "입니다",
        "이다",
        "이었다",
        "였다",
        "인가요",
        "인가",
        "인지",
        "인데",
        "이래",
        "래",
        "이래요",
        "래요",
        "이래도",
        "이죠",
        "죠",
        "이지",
        "지",
        "했다",
        "했어",
        "했어요",
        "했습니다",
        "했나",
        "했나요",
        "했는데",
        "했는지",
        "했던",
        "했었",
        "했을",
        "했지",
        "했대",
        "했대요",
        "한다",
        "합니다",
        "해요",
        "해",
        "한",
        "할",
        "하는",
        "하다",
        "하게",
        "하고",
        "하면",
        "하면서",
        "하지",
        "하기",
        "하려면",
        "해서",
        "해도",
        "해야",
        "하나",
        "하나요",
        "하는데",
        "하는지",
        "된다",
        "됩니다",
        "돼요",
        "되는",
        "되나",
        "되나요",
        "됐나",
        "됐어",
        "됐어요",
        "됐다",
        "되었다",
        "되면",
        "된",
        "될",
        "되어",
        "되고",
        "었어요",
        "았어요",
        "였어요",
        "었다",
        "았다",
        "었습니다",
        "았습니다",
        "었나요",
        "았나요",
        "었나",
        "았나",
        "었는데",
        "았는데",
        "었어",
        "았어",
        "었지",
        "았지",
        "었던",
        "았던",
        "었대",
        "았대",
        "었대요",
        "았대요",
        "어요",
        "아요",
        "여요",
        "어",
        "아",
        "어서",
        "아서",
        "여서",
        "습니다",
        "ㅂ니다",
        "습니까",
        "는데",
        "은데",
        "는지",
        "은지",
        "는가",
        "나요",
        "니",
        "냐",
        "네요",
        "군요",
        "구나",
        "으면",
        "면",
        "으니",
        "으니까",
        "니까",
        "지만",
        "거나",
        "더라",
        "던",
        "던데",
        "대",
        "대요",
        "다고",
        "다는",
        "다던",
        "다던데",
        "려고",
        "으려고",
        "려면",
        "으려면",
        "도록",
        "고",
        "며",
        "으며",
        "면서",
        "자",
        "자고",
        "음",
        "기",
        "기로",
        "은가",
        "을까",
        "을까요",
        "ㄹ까",
        "세요",
        "으세요",
        "십시오",
        "시오",
        "주세요",
        "줘",
        "줘요",
        "이었",
        "이었어",
        "이었어요",
        "였어",
        "였지",
        "이었지",
        "였더라",
        "이었더라",
    ],
    key=len,
    reverse=True,
)
_ENDINGS_BY_LENGTH: Final = {
    length: frozenset(e for e in _KOREAN_ENDINGS if len(e) == length)
    for length in {len(e) for e in _KOREAN_ENDINGS}
}
_ONE_SYLLABLE_PARTICLES: Final = frozenset("은는이가을를의에도로와과야")


@lru_cache(maxsize=32768)
def korean_stem(word: str) -> str:
    """Return a Korean word without its particle or ending; one syllable at least stays.

    A rule, not an analysis: it errs towards leaving too much, which a comparison by beginning
    forgives.
    """
    if len(word) == 2 and word[1] in _ONE_SYLLABLE_PARTICLES:
        # 돈은, 물이: a noun of one syllable, where the list of everyday words knows it.
        return word[0] if concepts.is_korean(word[0]) and not concepts.is_korean(word) else word
    for length in sorted(_ENDINGS_BY_LENGTH, reverse=True):
        rest = len(word) - length
        if rest < 1:
            continue
        # A single syllable is only taken off where two stay: 나이 is no 나 with 이.
        if length == 1 and rest < 2:
            continue
        if word[rest:] in _ENDINGS_BY_LENGTH[length]:
            return word[:rest]
    return word


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: `text[start:end]`; `stems` are what it is compared by.

    For Hangul `stems` has one stem, for other scripts the search terms of the word. `meanings`
    has one set for each part of a compound.
    """

    surface: str
    start: int
    end: int
    hangul: bool
    stems: tuple[str, ...]
    meanings: tuple[frozenset[int], ...]

    @property
    def verbal(self) -> bool:
        """Whether a word looks like a verb, whose place another verb may take."""
        if not self.hangul:
            return self.stems[0] in _ENGLISH_VERBS and not self.is_name
        if _SURELY_VERBAL.search(self.surface):
            return True
        return bool(_MAYBE_VERBAL.search(self.surface)) and (
            not concepts.is_korean(self.surface) or self.surface[-1] in "고어여해게도야"
        )

    @property
    def is_name(self) -> bool:
        """Whether the word is written as a name: a capital, a handle or a tag."""
        return self.surface[0] in "#@" or self.surface[:1].isupper()


_SURELY_VERBAL: Final = re.compile(
    r"(?:[았었했였됐갔왔섰났렸졌뒀줬탔봤썼켰쳤][가-힣]*|[가-힣][려져혀겨켜춰워]서?요?|[가-힣](?:어요|아요|해요|여요|돼요|세요|나요|까요"
    r"|습니다|습니까|합니다|됩니다|한대|된대|온대|간대|쓴대|든대)|[가-힣](?:려면|으면|지만|는데|은데|던데|도록|면서)|[가-힣]{2,}간|[어아여해내가와봐]야(?:되나|돼요?|해요?|하나)?"
    r"|나온|들어온|돌아온|떠난|찾은|잃은|받은|열린|걸린|올린|내린|빌린|건진|맞힌|잡은|만든|생긴|없어진|되나|하나)$"
)
_MAYBE_VERBAL: Final = re.compile(
    r"(?:[다요죠냐까]|던|은데|대|래|[어아여해와]서?|[하되]면|[가-힣]{2,}고|[가-힣][하되있없가오서]는|한|된|할|될|[가-힣]게|[가-힣]러)$"
)
_ENGLISH_VERBS: Final = frozenset(
    terms(
        "start begin end finish open close hold held take took sell sold collect buy bought pay win won "
        "move bake use allow ask look see seen saw find found leave arrive run enter cost receive meet "
        "show bring make made keep kept put give gave given turn change stop build built fix fixed learn "
        "help try call become lose offer serve work live stay send sent ride carry catch caught pull set "
        "join visit eat drink cook sing play read write wear cut break broke charge raise drop add appear "
        "sort decide plan announce cancel attend donate deliver report need count spot swim sail park slip "
        "teach taught hire blink hear heard hit throw shake borrow rent pick choose speak discuss"
    )
)


@lru_cache(maxsize=8192)
def words(text: str) -> tuple[Word, ...]:
    """Return the words of a text in order; numbers and punctuation are no words."""
    found: list[Word] = []
    for match in _CHUNK.finditer(text):
        surface = match[0]
        start, end = match.span()
        if "가" <= surface[0] <= "힣":
            stem = korean_stem(surface)
            meanings = concepts.of_korean(surface, stem)
            found.append(Word(surface, start, end, True, (stem,), meanings))
        elif surface.startswith(("http", "www.")) or not any(c.isalpha() for c in surface):
            continue
        else:
            stems = tuple(terms(surface))
            if not stems:
                continue
            if "가" <= surface[-1] <= "힣":
                stems = (*stems, korean_stem(surface.lstrip("#@")))
            either = frozenset().union(*(concepts.of_english(stem) for stem in stems))
            meanings = (either,) if either else ()
            found.append(Word(surface, start, end, False, stems, meanings))
    return tuple(_with_phrases(found))


def _with_phrases(found: list[Word]) -> list[Word]:
    """Give both words of a known pair (`fish market`) what the pair means."""
    for i in range(len(found) - 1):
        first, second = found[i], found[i + 1]
        if first.hangul or second.hangul:
            continue
        meaning = concepts.of_phrase(first.stems[-1], second.stems[0])
        if meaning:
            for k in (i, i + 1):
                parts = found[k].meanings or (frozenset(),)
                found[k] = replace(found[k], meanings=(parts[0] | meaning, *parts[1:]))
    return found


@dataclass(frozen=True, slots=True)
class Profile:
    """A text as questions are matched with it."""

    words: tuple[Word, ...]
    stems: frozenset[str]
    meanings: frozenset[int]
    hangul: bool
    syllables: str
    letters: str
    roots: frozenset[str]
    values: tuple[Value, ...]


@lru_cache(maxsize=8192)
def profile(text: str) -> Profile:
    """Return the profile of a text.

    `syllables` is its Hangul without spaces, so that `낚시 대회` is found in `낚시대회`, and
    `letters` the same in jamo, so that `바뀌` is found in `바뀝니다`; `roots` are those of what may
    be verbs, `hangul` says whether most of the words are Korean.
    """
    return _profile(text, words(text), values(text))


@lru_cache(maxsize=8192)
def sentence_profiles(text: str) -> tuple[tuple[int, int, Profile], ...]:
    """Return start, end and profile of each sentence of a text, which is read only once.

    The words keep their places in the text; the values have theirs in the sentence.
    """
    spans = sentences(text) or [(0, len(text))]
    if len(spans) == 1 and spans[0] == (0, len(text)):
        return ((0, len(text), profile(text)),)
    found: list[tuple[int, int, Profile]] = []
    for start, end in spans:
        inside = tuple(word for word in words(text) if start <= word.start < end)
        named = tuple(
            value._replace(start=value.start - start, end=value.end - start)
            for value in values(text)
            if start <= value.start < end
        )
        found.append((start, end, _profile(text[start:end], inside, named)))
    return tuple(found)


def _profile(text: str, found: tuple[Word, ...], named: tuple[Value, ...]) -> Profile:
    hangul = [word for word in found if word.hangul]
    syllables = "".join(_HANGUL_RUN.findall(text)) if hangul else ""
    return Profile(
        words=found,
        stems=frozenset(stem for word in found for stem in word.stems),
        meanings=frozenset().union(*(part for word in found for part in word.meanings)),
        syllables=syllables,
        hangul=len(hangul) * 2 > len(found),
        letters=decomposed(syllables),
        roots=frozenset(verb_root(w.surface) for w in hangul if len(w.surface) > 1) - {""},
        values=named,
    )


_HANGUL_RUN: Final = re.compile(r"[가-힣]+")


def decomposed(hangul: str) -> str:
    """Return Hangul as conjoining jamo."""
    return unicodedata.normalize("NFD", hangul)


@lru_cache(maxsize=8192)
def open_letters(stem: str) -> str:
    """Return the jamo of a stem without the last final consonant, which endings change."""
    letters = decomposed(stem)
    return letters[:-1] if letters and "\u11a8" <= letters[-1] <= "\u11ff" else letters


@lru_cache(maxsize=16384)
def verb_root(word: str) -> str:
    """Return what the forms of a Korean verb share: `열렸`, `열립` and `열려` begin with the same.

    That is a closed first syllable and the next initial, in jamo; empty for other words.
    """
    letters = decomposed(word[:2])
    closed = len(letters) >= 4 and "\u11a8" <= letters[2] <= "\u11ff"
    return letters[:4] if closed else ""


def folded(text: str) -> str:
    """Return a text folded, with single spaces."""
    return " ".join(fold(text).split())
