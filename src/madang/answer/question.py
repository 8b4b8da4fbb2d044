"""What a question asks for: its needs, the kind of answer, whether it means now."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from madang.answer import fillers
from madang.answer.values import Value, values
from madang.answer.words import Word, words
from madang.text import question_language, stop_words

AnswerKind = Literal[
    "time", "weekday", "date", "year", "money", "count", "measure", "duration", "phone", "contact",
    "who", "where", "why", "rank", "colour", "name", "title",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A question taken apart.

    `needs` are the words that tell what it is about, `numbers` the values that it names, `kinds`
    what may answer it (empty: anything), `unit` the counter that a number has to stand with,
    `newest` whether it says that it means the present state, `oldest` the first state.
    """

    text: str
    lang: Literal["ko", "en"]
    needs: tuple[Word, ...]
    numbers: tuple[Value, ...]
    kinds: tuple[AnswerKind, ...]
    unit: str
    newest: bool
    oldest: bool
    yes_no: bool

    def without(self, words: frozenset[str]) -> Question:
        """Return the question without some words, compared by surface and by stem."""
        left = tuple(
            word
            for word in self.needs
            if word.surface.lower() not in words and word.stems[0] not in words
        )
        return replace(self, needs=left or self.needs)

    def asks_at(self, place: int) -> bool:
        """Return whether the clause at a place asks; where none does, all of them do."""
        spans = [m.span() for m in _CLAUSE.finditer(self.text)]
        asking = [span for span in spans if _ASKING.search(self.text[slice(*span)])]
        return not asking or any(a <= place < b for a, b in asking)


def analyse(text: str) -> Question:
    """Take a question apart."""
    # `translate this: 배가 떠납니다` is asked in English: what follows the colon is material.
    lang = question_language(_BEFORE_MATERIAL.sub("", text) or text)
    named = values(text)
    # `몇 시`, `1학기` and `bus 3` name a number; `one`, `두 번` are too loose to insist on.
    numbers = tuple(v for v in named if any(c.isdigit() for c in text[v.start : v.end]))
    taken = [(v.start, v.end) for v in named if v.kind in ("time", "date", "month", "weekday")]
    kinds, unit = _kinds(text)
    if "rank" in kinds:
        taken += [(v.start, v.end) for v in named if v.kind == "ordinal"]
    taken += [(v.start, v.end) for v in numbers if v.kind in ("number", "money", "percent")]
    taken += [match.span() for match in _COUNTER_ASKED.finditer(text)]
    needs = tuple(
        word
        for word in words(text)
        if not _asks(word) and not any(a < word.end and word.start < b for a, b in taken)
    )
    insisted = ("month", "weekday", "ordinal") if "rank" in kinds else ("month", "weekday")
    return Question(
        text=text,
        lang=lang,
        needs=tuple({word.stems: word for word in reversed(needs)}.values())[::-1],
        numbers=numbers + tuple(v for v in named if v.kind in insisted and v not in numbers),
        kinds=kinds,
        unit=unit,
        newest=bool(_NEWEST.search(text)),
        oldest=bool(_OLDEST.search(text)),
        yes_no=bool(_YES_NO.search(text)) and not kinds,
    )


_BEFORE_MATERIAL: Final = re.compile(r"(?<=[^\W\d_]{3}):\s.*", re.DOTALL)

_QUESTION_STEMS: Final = (
    "뭐",
    "무엇",
    "누구",
    "언제",
    "어디",
    "얼마",
    "몇",
    "며칠",
    "무슨",
    "어떻",
)


def _asks(word: Word) -> bool:
    if word.hangul:
        return (
            word.surface in fillers.KOREAN
            or word.surface in stop_words.KOREAN
            or word.stems[0] in fillers.KOREAN
            or word.surface.startswith(_QUESTION_STEMS)
            or fillers.LIGHT_VERB.fullmatch(word.surface) is not None
        )
    plain = word.surface.lower().replace("’", "'")
    bare = plain.removesuffix("'s")
    return (
        plain in fillers.ENGLISH
        or bare in fillers.ENGLISH
        or bare in stop_words.ENGLISH
        or plain in stop_words.ENGLISH
    )


# A clause of a message: up to a mark, or up to a Korean ending that only leads to what follows.
_CLAUSE: Final = re.compile(
    r"(?:[^.?!,;？]|(?<=\d)[.,](?=\d))+?(?:던데|는데|한데|인데)(?=\s)|(?:[^.?!,;？]|(?<=\d)[.,](?=\d))+[.?!,;？]*"
)
_ASKING: Final = re.compile(
    r"[?？]|\b(?:what|whats|who|whom|whose|where|wheres|when|whens|why|how|which)\b"
    r"|누가|누구|언제|어디|무엇|뭐|뭘|왜|어떻게|어떤|어느|얼마|몇|며칠|무슨|(?:나요|까요|는지|가요|알려줘|알려주세요)\W*$",
    re.IGNORECASE,
)
_NEWEST: Final = re.compile(
    r"\b(?:now|latest|newest|currently|current|nowadays|these days|any ?more|at the moment|in the end"
    r"|final(?:ly)?|updated?|most recent|eventually|as of)\b"
    r"|지금|요즘|요새|최근|현재|결국|최종|바뀐|변경된|이제",
    re.IGNORECASE,
)
_OLDEST: Final = re.compile(
    r"\b(?:originally|at first|initially|first planned|original|before the change|used to)\b"
    r"|원래|처음에는|처음엔|당초|애초|바뀌기 전|변경 전",
    re.IGNORECASE,
)
_YES_NO: Final = re.compile(
    r"^(?:so |and |but |hey |ok )?(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had"
    r"|should|may|am|isn't|aren't|don't|doesn't|didn't|won't|can't)\b"
    r"|(?:나요|니|까|까요|가요|되나|있어|있어요|없어|없어요|돼|돼요|래|대|대요|건가|맞아|맞아요|맞나)\s*[?？]*\s*$",
    re.IGNORECASE,
)

_KINDS: Final[tuple[tuple[str, tuple[AnswerKind, ...]], ...]] = (
    (r"\bcame (?:first|second|third|last)|몇\s?등|몇\s?위", ("rank",)),
    (r"^\W*(?:and |so )?who(?:m|se)?\b|누구|누가|누군", ("who",)),
    (r"\bphone number|\bnumber (?:to|should|can|do) \w+ call|전화\s?번호|연락처|몇 번으로 전화", ("phone",)),
    (r"\be-?mail address|이메일 주소|메일 주소|홈페이지 주소|\bwebsite address|\burl\b", ("contact",)),
    (r"\bwhat time|\bwhich time|\bwhat hours?\b|\bwhat are the (?:\w+ )?hours|몇\s?시(?!간)", ("time",)),
    (r"\b(?:what|which) day of the week|무슨\s?요일|어느\s?요일", ("weekday",)),
    (r"\b(?:what|which) days?\b|며칠(?:에|이|날|인|부터|까지|이야|$|\s*\?)|몇\s?월\s?며칠|\bwhat(?:'s| is| was)? (?:the )?(?:\w+ )?date|날짜", ("date", "weekday")),
    (r"\b(?:what|which) year|몇\s?년도|몇\s?년에|어느\s?해", ("year",)),
    (r"\b(?:what|which) month|몇\s?월", ("date",)),
    (r"\bhow long|\bhow many (?:minutes|hours|days|weeks|months|years)|얼마\s?동안|얼마나\s?오래|몇\s?(?:시간|분간|분\s?동안|일간|일\s?동안|주간|주일|개월|달|년간|년\s?동안|년이나)", ("duration",)),
    (r"\bhow much\b.*\b(?:weigh|rain|snow|heavier|water|time)\b|\bhow (?:tall|high|deep|wide|far|heavy|big|large|fast|hot|cold|old|strong)\b|무게|몇\s?(?:도|키로|킬로|미터|센티|센치|미리|밀리|리터|그램|톤|살|세)|길이가|높이가|얼마나\s?(?:커|크|길|높|무거|빨)", ("measure",)),
    (r"\bhow much\b|\bprice\b|\bcosts?\b|\bfees?\b|\bfares?\b|\bcharge\b|\bper hour pay|\bsalary|\bwage|가격|요금|시급|월급|값이|값은|참가비|입장료|회비|재료비|비용|얼마", ("money",)),
    (r"\bhow many\b|\bnumber of\b|몇\s?(?:명|개|권|마리|장|번|대|그릇|포기|가구|분이|사람|곳|석|척|건|종|가지|잔|상자|층|학년|팀|편|쪽|호|회|점|채|병|미리)|개수|인원|몇이", ("count",)),
    (r"\bcame (?:first|second|third|last)|몇\s?등|몇\s?위", ("rank",)),
    (r"^\W*when\b|\bwhen (?:is|was|does|did|do|will|are|were|can|should|has)|\buntil when|\bsince when|언제", ("time", "date", "weekday", "year")),
    (r"\b(?:what|which) colou?rs?\b|무슨\s?색|색깔|어떤\s?색", ("colour",)),
    (r"\btitle\b|\b(?:what|which) (?:book|film|movie|song|play)\b|제목|(?:무슨|어떤)\s?(?:책|영화|노래|연극)", ("title",)),
    (r"몇\s?[가-힣]", ("count",)),
    (r"\bnames? of\b|\bwhat(?:'s| is| was| are) \S+(?: \S+)? (?:called|named|name)\b|'s name\b|성함|이름(?:이|은|$|\s*\?)", ("name",)),
    (r"\bwhere\b|\bwhich (?:place|window|floor|room|street|shop|counter)|어디|장소|어느\s?(?:역|곳|창구|방|층)", ("where",)),
    (r"\bwhy\b|\bwhat (?:is|was) the reason|\bhow come|왜|이유|까닭", ("why",)),
)  # fmt: skip
_KIND_PATTERNS: Final = tuple((re.compile(p, re.IGNORECASE), kinds) for p, kinds in _KINDS)
_UNIT_ASKED: Final = re.compile(
    r"몇\s?(?!시(?!간)|월|년도|등|위|번째|요일|이나|이야|이에|인가|쯤|사람)([가-힣]{1,3}?)(?:이나|이|을|를|은|는|까지|부터|정도|쯤|짜리"
    r"|나|야|예요|이야|인가요|였|이었|인지|이에요|로|째|\s|[?？]|$)"
    r"|how many (\w+)",
    re.IGNORECASE,
)
# What a measure is measured in, where the question does not name a unit.
_DIMENSIONS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), unit)
    for pattern, unit in (
        (r"\bhow (?:old)\b|나이|연세|몇\s?살", "age"),
        (r"\bhow fast\b|\bspeed\b|속도|얼마나 빨", "speed"),
        (r"\bhow (?:heavy|much .*weigh)|\bweigh|무게|몸무게", "mass"),
        (
            r"\bhow (?:tall|high|deep|wide|long is|far|big|large)\b|\blength\b|길이가|높이|깊이|수심|너비",
            "length",
        ),
        (r"\bhow (?:hot|cold|warm)\b|\btemperature\b|온도|기온|몇\s?도", "degree"),
    )
)
_COUNTER_ASKED: Final = re.compile(r"몇\s?[가-힣]+")


def _kinds(text: str) -> tuple[tuple[AnswerKind, ...], str]:
    unit = next((unit for pattern, unit in _DIMENSIONS if pattern.search(text)), "")
    asked = _UNIT_ASKED.search(text)
    if asked:
        unit = (asked[1] or asked[2] or "").lower()
    for pattern, kinds in _KIND_PATTERNS:
        if pattern.search(text):
            return kinds, unit
    return (), unit
