"""Values in a text: times, dates, prices, counts and numbers, in Korean and English.

Two spellings of one value have the same key: `1만5천원` and `15,000 won`, `오후 5시` and `17:00`.
"""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "time", "date", "month", "year", "weekday", "money", "percent", "phone", "ordinal", "number"
]


class Value(NamedTuple):
    """A value and the code points that it stands on.

    `key` is comparable within a kind: times are `17:00` (`5:00?` where the half of the day is
    not said), dates `10-24` (`?-24` without a month), weekdays 0–6 from Monday, numbers plain
    decimals. `unit` is a canonical unit, empty where there is none.
    """

    kind: Kind
    key: str
    unit: str
    start: int
    end: int


@lru_cache(maxsize=8192)
def values(text: str) -> tuple[Value, ...]:
    """Return the values of a text, in order of start, without overlaps."""
    found: list[Value] = []
    for match in _PATTERN.finditer(text):
        kind = match.lastgroup or ""
        read = _READERS.get(kind)
        if read is None:
            continue
        found.extend(read(match))
    return tuple(found)


def same_value(one: Value, other: Value) -> bool:
    """Return whether two values of any texts say the same; what one leaves open may match."""
    if one.kind != other.kind:
        return False
    if one.kind == "time":
        return _same_time(one.key, other.key)
    if one.kind == "date":
        return _same_date(one.key, other.key)
    return one.key == other.key and (one.unit == other.unit or not one.unit or not other.unit)


def _same_time(one: str, other: str) -> bool:
    if one == other:
        return True
    if one.endswith("?") or other.endswith("?"):
        return _on_half_dial(one) == _on_half_dial(other)
    return False


def _on_half_dial(key: str) -> tuple[int, str]:
    hour, _, minute = key.rstrip("?").partition(":")
    return int(hour) % 12, minute


def _same_date(one: str, other: str) -> bool:
    (month, _, day), (other_month, _, other_day) = one.partition("-"), other.partition("-")
    return day == other_day and (month == other_month or "?" in (month, other_month))


_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
_WEEKDAYS: Final = {
    name: number
    for number, names in enumerate(
        (
            "monday mondays mon 월",
            "tuesday tuesdays tue tues 화",
            "wednesday wednesdays wed 수",
            "thursday thursdays thu thur thurs 목",
            "friday fridays fri 금",
            "saturday saturdays sat 토",
            "sunday sundays sun 일",
        )
    )
    for name in names.split()
}
UNITS: Final = {
    spelling: unit
    for unit, spellings in {
        "won": "원 won krw ₩",
        "usd": "달러 dollar dollars usd $ bucks",
        "eur": "유로 euro euros eur €",
        "gbp": "파운드 pound pounds gbp £",
        "jpy": "엔 yen jpy ¥",
        "geun": "근",
        "kg": "kg kgs 키로 킬로 킬로그램 kilo kilos kilogram kilograms",
        "g": "g 그램 gram grams",
        "ton": "톤 ton tons tonne tonnes",
        "km": "km kms 킬로미터 kilometre kilometres kilometer kilometers",
        "m": "m 미터 metre metres meter meters",
        "cm": "cm 센티 센티미터 centimetre centimetres centimeter centimeters",
        "mm": "mm 미리 밀리 밀리미터 millimetre millimetres millimeter millimeters",
        "mile": "mile miles 마일",
        "foot": "foot feet ft 피트",
        "litre": "l 리터 litre litres liter liters",
        "degree": "도 ° °c degree degrees",
        "person": "명 사람 인 분이 people persons person folks",
        "thing": "개",
        "volume": "권 book books volume volumes",
        "animal": "마리",
        "sheet": "장 sheet sheets",
        "box": "상자 박스 box boxes",
        "bag": "봉지 봉 포대 bag bags",
        "bowl": "그릇 bowl bowls",
        "cup": "잔 cup cups",
        "head": "포기 통 그루",
        "vehicle": "대",
        "house": "가구 채 households household",
        "room": "방 room rooms",
        "seat": "석 좌석 seat seats",
        "time": "번 회 차례 times",
        "place": "곳 군데 places",
        "sort": "종 가지 종류 species kinds",
        "point": "점 point points",
        "second": "초 second seconds sec secs",
        "minute": "분 분간 minute minutes min mins",
        "hour": "시간 hour hours hr hrs",
        "day": "일간 일째 일 day days",
        "week": "주 주간 주일 주째 week weeks",
        "month": "개월 달 months month",
        "year": "년 년간 년째 year years",
        "age": "살 세",
        "floor": "층",
        "grade": "학년",
        "rank": "등 위",
        "bus": "호선",
        "crate": "드럼 crate crates",
    }.items()
    for spelling in spellings.split()
}
MONEY: Final = frozenset({"won", "usd", "eur", "gbp", "jpy"})
DURATION: Final = frozenset({"second", "minute", "hour", "day", "week", "month", "year"})

_NATIVE: Final = {
    "한": 1, "두": 2, "세": 3, "석": 3, "네": 4, "넉": 4, "다섯": 5, "여섯": 6, "일곱": 7,
    "여덟": 8, "아홉": 9, "열": 10, "열한": 11, "열두": 12, "스무": 20, "서른": 30, "마흔": 40,
    "쉰": 50,
}  # fmt: skip
_DAYS: Final = {"하루": 1, "이틀": 2, "사흘": 3, "나흘": 4, "닷새": 5, "엿새": 6, "열흘": 10,
                "보름": 15}  # fmt: skip
_SMALL: Final = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS: Final = {
    word: 10 * number
    for number, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_ORDINALS: Final = {
    word: number
    for number, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        start=1,
    )
}


def _longest_first(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_LATIN_UNITS: Final = _longest_first(u for u in UNITS if u.isascii() and u.isalpha())
_OTHER_UNITS: Final = _longest_first(
    u for u in UNITS if not (u.isascii() and u.isalpha()) and u not in "₩$€£¥"
)
_MONTH: Final = _longest_first(_MONTHS)
_DAY_NAMES: Final = _longest_first(w for w in _WEEKDAYS if w.isascii())
_NUMBER: Final = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_SMALL_WORD: Final = (
    rf"(?:(?:{_longest_first(_TENS)})(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?"
    rf"|{_longest_first(_SMALL)})"
)
_PATTERN: Final = re.compile(
    rf"""
    (?P<skip> (?:https?://|www\.)\S+ | (?<!\w)[@\#]\w+ )
  | (?P<phone> (?<![\d.,])(?:\+\d{{1,3}}[ -]?)?\(?\d{{2,4}}\)?[ -]\d{{3,4}}[ -]\d{{4}}(?!\d)
      | (?<!\d)1[568]\d\d-\d{{4}}(?!\d) )
  | (?P<iso> (?<!\d)(?:19|20)\d\d[-./](?:0?[1-9]|1[0-2])[-./](?:0?[1-9]|[12]\d|3[01])(?!\d) )
  | (?P<clock> (?<![\d.:])(?P<ch>[01]?\d|2[0-4]):(?P<cm>[0-5]\d)(?::[0-5]\d)?(?!\d)
      (?:\s?(?P<chalf>[ap]\.?m\b\.?))? )
  | (?P<half> (?<![\d.])(?P<hh>1[0-2]|0?[1-9])(?:[.:](?P<hm>[0-5]\d))?\s?(?P<hhalf>[ap]\.?m\b\.?) )
  | (?P<oclock> (?<![\d.])(?P<oh>\d{{1,2}})\s?o['’]clock )
  | (?P<noon> \b(?:noon|midday|midnight)\b | 정오|자정 )
  | (?P<si> (?:(?P<siwhen>오전|오후|새벽|아침|저녁|밤|낮)\s?)?(?<!\d)
      (?:(?P<sih>2[0-4]|1\d|0?\d)|(?P<sin>열한|열두|한|두|세|네|다섯|여섯|일곱|여덟|아홉|열)(?=시(?![가-힣])|시(?:에|부터|까지|쯤|반|로|가|는|은)))
      \s?시(?!간|작|[^\s\d반까부에가는은로의정쯤이전경인,./~!?)\]-])
      (?:\s?(?P<sim>[0-5]?\d)\s?분|\s?(?P<siban>반))? )
  | (?P<kdate> (?<!\d)(?P<km>1[0-2]|0?[1-9])월\s?(?P<kd>3[01]|[12]\d|0?[1-9])일(?!간|째) )
  | (?P<edate> \b(?P<ed>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?\s(?:of\s)?(?P<em>{_MONTH})\b\.? )
  | (?P<mdate> \b(?P<mm>{_MONTH})\b\.?\s(?:the\s)?(?P<md>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?
      (?![\d:,]\d|\s?(?:%|won)) )
  | (?P<slash> (?<![\d/])(?P<sm>1[0-2]|0?[1-9])/(?P<sd>3[01]|[12]\d|0?[1-9])(?![\d/]) )
  | (?P<kyear> (?<!\d)(?P<ky>(?:1[5-9]|20)\d\d)년(?!간|째) )
  | (?P<kmonth> (?<!\d)(?P<kmo>1[0-2]|0?[1-9])월(?!급|세|드컵) )
  | (?P<kday> (?<!\d)(?P<kdd>3[01]|[12]\d|0?[1-9])일(?!간|째|[가-힣]?차|본) )
  | (?P<nth> \b(?P<nd>\d{{1,3}})(?:st|nd|rd|th)\b )
  | (?P<emonth> \b(?!may\b|mar\b|march\b|sec\b)(?:{_MONTH})\b | (?-i:\b(?:May|March)\b) )
  | (?P<weekday> (?P<wk>[월화수목금토일])요일 | (?<=\()(?P<wp>[월화수목금토일])(?=\)) )
  | (?P<eweekday> \b(?P<we>{_DAY_NAMES})\b\.? )
  | (?P<percent> (?P<pn>{_NUMBER})\s?(?:%|％|퍼센트|프로(?![가-힣])|percent\b|per\scent\b) )
  | (?P<sign> (?P<ss>[₩$€£¥])\s?(?P<sn>{_NUMBER})(?P<sk>[kKmM]\b)? )
  | (?P<number> (?<![A-Za-z\d.])(?=\d)
      (?:(?P<eok>\d[\d,]*(?:\.\d+)?)\s?억\s?)?(?:(?P<man>\d[\d,]*(?:\.\d+)?)\s?만\s?)?
      (?:(?P<cheon>\d+(?:\.\d+)?)\s?천\s?)?(?:(?P<baek>\d+)\s?백\s?)?(?P<rest>{_NUMBER})?
      (?:(?<=[\d만천백억])(?:\s?-?(?P<u1>{_LATIN_UNITS})(?![A-Za-z])|\s?(?P<u2>{_OTHER_UNITS})))?
      (?P<rank>째|번째|th)? )
  | (?P<native> (?<![가-힣])(?P<nn>{_longest_first(_NATIVE)})\s?
      (?P<nu>시간|명|사람|마리|권|개월|개|달|살|잔|그릇|장|번째|번|상자|박스|군데|곳|가지|대|주|시|통|집|포기|숟갈|칸|병) )
  | (?P<days> (?<![가-힣])(?P<dd>{_longest_first(_DAYS)})(?![기]) )
  | (?P<word> \b(?P<wn>{_SMALL_WORD})(?:\s(?P<wb>hundred|thousand|million))?\b
      (?:[\s-](?P<wu>{_LATIN_UNITS})\b)? )
  | (?P<ordinal> \b(?P<on>{_longest_first(_ORDINALS)})\b )
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _time(hour: int, minute: int, half: str | None, certain: bool = False) -> str:
    if half:
        afternoon = half.lower().startswith("p") or half in ("오후", "저녁", "밤", "낮")
        if afternoon and hour < 12 and not (half in ("밤", "낮") and hour in (1, 2, 3, 11)):
            hour += 12
        elif not afternoon and hour == 12:
            hour = 0
        elif half == "밤" and hour == 11:
            hour = 23
        elif half == "낮" and hour < 6:
            hour += 12
        elif half == "밤" and hour == 12:
            hour = 0
        return f"{hour % 24}:{minute:02d}"
    return f"{hour}:{minute:02d}" + ("" if certain or hour > 12 or hour == 0 else "?")


def _clock(m: re.Match[str]) -> list[Value]:
    written = m["ch"]
    certain = len(written) == 2
    return [_value("time", _time(int(written), int(m["cm"]), m["chalf"], certain), m)]


def _half(m: re.Match[str]) -> list[Value]:
    return [_value("time", _time(int(m["hh"]), int(m["hm"] or 0), m["hhalf"]), m)]


def _oclock(m: re.Match[str]) -> list[Value]:
    return [_value("time", _time(int(m["oh"]), 0, None), m)]


def _noon(m: re.Match[str]) -> list[Value]:
    return [_value("time", "0:00" if m[0].lower() in ("midnight", "자정") else "12:00", m)]


def _si(m: re.Match[str]) -> list[Value]:
    hour = int(m["sih"]) if m["sih"] else _NATIVE[m["sin"]]
    minute = int(m["sim"]) if m["sim"] else 30 if m["siban"] else 0
    return [_value("time", _time(hour, minute, m["siwhen"]), m)]


def _date(month: int | None, day: int, m: re.Match[str]) -> list[Value]:
    return [_value("date", f"{month or '?'}-{day}", m)]


def _iso(m: re.Match[str]) -> list[Value]:
    year, month, day = re.split(r"[-./]", m[0])
    return [_value("date", f"{int(month)}-{int(day)}", m), _value("year", year, m)]


def _month_name(m: re.Match[str]) -> list[Value]:
    return [_value("month", str(_MONTHS[m[0].lower().rstrip(".")]), m)]


def _weekday(m: re.Match[str]) -> list[Value]:
    return [_value("weekday", str(_WEEKDAYS[m["wk"] or m["wp"]]), m)]


def _eweekday(m: re.Match[str]) -> list[Value]:
    name = m["we"]
    # `sun` is a star, `sat` a verb and `wed` a bride unless written as names.
    if name.lower() in ("sun", "sat", "mon", "wed") and not name[0].isupper():
        return []
    return [_value("weekday", str(_WEEKDAYS[name.lower()]), m)]


def _percent(m: re.Match[str]) -> list[Value]:
    return [_value("percent", _plain(m["pn"]), m)]


def _sign(m: re.Match[str]) -> list[Value]:
    times = {"k": 1e3, "m": 1e6}.get((m["sk"] or "").lower(), 1)
    key = _decimal(float(m["sn"].replace(",", "")) * times) if times != 1 else _plain(m["sn"])
    return [_value("money", key, m, UNITS[m["ss"]])]


def _number(m: re.Match[str]) -> list[Value]:
    if not m[0]:
        return []
    parts = ((m["eok"], 10**8), (m["man"], 10**4), (m["cheon"], 1000), (m["baek"], 100))
    if any(part for part, _ in parts):
        total = sum(float(part.replace(",", "")) * times for part, times in parts if part)
        key = _decimal(total + float((m["rest"] or "0").replace(",", "")))
    else:
        key = _plain(m["rest"])
    unit = UNITS.get((m["u1"] or m["u2"] or "").lower(), "")
    if m["rank"]:
        return [_value("ordinal", key, m)]
    if unit in MONEY:
        return [_value("money", key, m, unit)]
    if not unit and re.fullmatch(r"(?:1[5-9]|20)\d\d", key) and "," not in m[0]:
        return [_value("year", key, m)]
    if unit == "rank":
        return [_value("ordinal", key, m)]
    return [_value("number", key, m, unit)]


def _native(m: re.Match[str]) -> list[Value]:
    unit = m["nu"]
    if unit == "시":
        return [_value("time", _time(_NATIVE[m["nn"]], 0, None), m)]
    if unit == "번째":
        return [_value("ordinal", str(_NATIVE[m["nn"]]), m)]
    return [_value("number", str(_NATIVE[m["nn"]]), m, UNITS.get(unit, ""))]


def _word(m: re.Match[str]) -> list[Value]:
    pieces = re.split(r"[ -]", m["wn"].lower())
    total = sum(_SMALL.get(piece, 0) + _TENS.get(piece, 0) for piece in pieces)
    total *= {"hundred": 100, "thousand": 1000, "million": 10**6}.get((m["wb"] or "").lower(), 1)
    # "One" alone is a pronoun more often than a count.
    if total == 1 and not m["wu"]:
        return []
    unit = UNITS.get((m["wu"] or "").lower(), "")
    return [_value("money" if unit in MONEY else "number", str(total), m, unit)]


_READERS: Final[dict[str, Callable[[re.Match[str]], list[Value]]]] = {
    "phone": lambda m: [_value("phone", re.sub(r"\D", "", m[0]), m)],
    "iso": _iso,
    "clock": _clock,
    "half": _half,
    "oclock": _oclock,
    "noon": _noon,
    "si": _si,
    "kdate": lambda m: _date(int(m["km"]), int(m["kd"]), m),
    "edate": lambda m: _date(_MONTHS[m["em"].lower()], int(m["ed"]), m),
    "mdate": lambda m: _date(_MONTHS[m["mm"].lower()], int(m["md"]), m),
    "slash": lambda m: _date(int(m["sm"]), int(m["sd"]), m),
    "kyear": lambda m: [_value("year", m["ky"], m)],
    "kmonth": lambda m: [_value("month", str(int(m["kmo"])), m)],
    "kday": lambda m: _date(None, int(m["kdd"]), m),
    "nth": lambda m: [_value("ordinal", str(int(m["nd"])), m)],
    "emonth": _month_name,
    "weekday": _weekday,
    "eweekday": _eweekday,
    "percent": _percent,
    "sign": _sign,
    "number": _number,
    "native": _native,
    "days": lambda m: [_value("number", str(_DAYS[m["dd"]]), m, "day")],
    "word": _word,
    "ordinal": lambda m: [_value("ordinal", str(_ORDINALS[m["on"].lower()]), m)],
}


def _value(kind: Kind, key: str, m: re.Match[str], unit: str = "") -> Value:
    return Value(kind, key, unit, m.start(), m.end())


def _plain(written: str) -> str:
    number = written.replace(",", "")
    if "." in number:
        return number.rstrip("0").rstrip(".") or "0"
    return number.lstrip("0") or "0"


def _decimal(number: float) -> str:
    return _plain(f"{number:.4f}")
