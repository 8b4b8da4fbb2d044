"""Whether a text holds the kind of thing that a question asks for."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from typing import Final

from madang.answer.question import AnswerKind
from madang.answer.values import DURATION, UNITS, Value
from madang.answer.words import Profile
from madang.text import terms

# Kinds that a text either has or has not; for the others the signs below are only hints.
HARD: Final[frozenset[AnswerKind]] = frozenset(
    {
        "time",
        "weekday",
        "date",
        "year",
        "money",
        "count",
        "measure",
        "duration",
        "phone",
        "contact",
        "title",
    }
)

_CONTACT: Final = re.compile(r"\S+@\S+\.\w|https?://|www\.")
_FREE: Final = re.compile(r"\bfree\b|무료|공짜|안\s?받", re.IGNORECASE)
_PLACE: Final = re.compile(
    r"[가-힣](?:에서|에|으로|로)(?![가-힣])|[가-힣](?:앞|옆|뒤|쪽|층|창구|번지|끝|마당)"
    r"|\b(?:at|in|on|near|behind|under|below|inside|outside|beside|between|next to|in front of"
    r"|from|opposite|around|to the|window|floor)\b",
    re.IGNORECASE,
)
_REASON: Final = re.compile(
    r"\b(?:because|since|due to|so that|so\b|as\b|thanks to|in order|reason|caused|for the|after)"
    r"|때문|이유|원인|덕분|느라|[가-힣](?:서|므로|니까|려고|기 위해|위해|으로)(?![가-힣])|[가-힣]+(?:해져|아져|어져|라서|아서|어서)",
    re.IGNORECASE,
)
_PERSON: Final = re.compile(
    r"@\w|[가-힣]{2,4}\s?(?:씨|님|군|양|선생|할머니|할아버지|선장|회장|대표|이모|삼촌)"
)
_COLOUR: Final = re.compile(
    r"\b(?:red|blue|green|yellow|white|black|brown|grey|gray|pink|purple|orange|silver|gold(?:en)?|mint)\b"
    r"|빨간|빨강|파란|파랑|초록|녹색|노란|노랑|흰|하얀|검은|검정|갈색|회색|분홍|보라|주황|은색|금색|민트|색",
    re.IGNORECASE,
)
_NAMES: Final = re.compile(
    r"이름|[가-힣]{2,4}\s?(?:씨|님|선생|선장|회장)|[가-힣]{2,4}입니다|['\"‘“《「][^'\"’”》」]{1,20}['\"’”》」]"
)
_TITLE: Final = re.compile(r"[\"“‘《〈「『][^\"”’》〉」』]{1,60}[\"”’》〉」』]")
_PERSON_MEANS: Final = frozenset(
    terms("man woman mother father daughter son captain doctor nurse teacher president owner")
)
_SOON: Final = re.compile(
    r"\b(?:today|tomorrow|tonight|yesterday|weekend|next week|this week|weekdays?|daily|every day"
    r"|(?:week|month|year|day)s? ago)\b|오늘|내일|어제|주말|평일|매일|다음\s?주|이번\s?주|모레",
    re.IGNORECASE,
)


def holds(kinds: tuple[AnswerKind, ...], unit: str, text: str, profile: Profile) -> bool:
    """Return whether a text has a thing of one of the kinds; true for a question without any."""
    return not kinds or any(_holds(kind, unit, text, profile) for kind in kinds)


def _holds(kind: AnswerKind, unit: str, text: str, profile: Profile) -> bool:
    found = profile.values
    match kind:
        case "time":
            return any(v.kind == "time" for v in found)
        case "weekday":
            return any(v.kind == "weekday" for v in found) or bool(_SOON.search(text))
        case "date":
            return any(v.kind in ("date", "month", "weekday", "ordinal") for v in found) or bool(
                _SOON.search(text)
            )
        case "year":
            return any(v.kind == "year" for v in found)
        case "money":
            return any(v.kind in ("money", "percent") for v in found) or bool(_FREE.search(text))
        case "count":
            return any(_counts(v, unit, text) for v in found)
        case "measure":
            return any(_measures(v, unit, text) for v in found)
        case "duration":
            return any(v.unit in DURATION or v.kind in ("time", "date", "year") for v in found)
        case "phone":
            return any(v.kind == "phone" for v in found)
        case "contact":
            return bool(_CONTACT.search(text))
        case "rank":
            return any(v.kind == "ordinal" for v in found) or bool(_PERSON.search(text))
        case "title":
            return bool(_TITLE.search(text))
        case "colour":
            return bool(_COLOUR.search(text))
        case "name":
            return bool(_NAMES.search(text)) or any(w.is_name for w in profile.words[1:])
        case "who":
            return bool(_PERSON.search(text)) or any(
                w.is_name or w.stems[0] in _PERSON_MEANS for w in profile.words[1:]
            )
        case "where":
            return bool(_PLACE.search(text))
        case "why":
            return bool(_REASON.search(text))


_DIMENSIONS: Final[dict[str, frozenset[str]]] = {
    "age": frozenset({"age", "year", "month"}),
    "mass": frozenset({"kg", "g", "ton"}),
    "length": frozenset({"m", "cm", "mm", "km", "mile", "foot"}),
    "degree": frozenset({"degree"}),
}
_SPEED: Final = re.compile(
    r"km/h|kph|mph|m/s|knots?\b|노트|시속|초속|(?:an|per) hour", re.IGNORECASE
)
_COUNTED: Final = frozenset({"thing", "animal", "person", "sort", "sheet", "volume"})


def _measures(value: Value, unit: str, text: str) -> bool:
    """Return whether a number measures in the unit or the dimension that was asked for."""
    if value.kind not in ("number", "percent") or not value.unit:
        return False
    if unit == "speed":
        return bool(_SPEED.search(text))
    if unit in _DIMENSIONS:
        return value.unit in _DIMENSIONS[unit]
    asked = UNITS.get(unit)
    return asked is None or asked == value.unit


def _counts(value: Value, unit: str, text: str) -> bool:
    """Return whether a number counts what was asked for, as its counter or its noun tells."""
    if value.kind not in ("number", "year", "ordinal"):
        return False
    if not unit:
        return True
    if unit in _DIMENSIONS or unit == "speed":
        return _measures(value, unit, text)
    asked = UNITS.get(unit)
    if asked == value.unit and asked is not None:
        return True
    following = text[value.end : value.end + 30]
    if unit.isascii():
        # `how many interpreters` wants a number before interpreters, or a bare one or a counted
        # one: posts say `12 of us`.
        if set(terms(unit)) & set(terms(following)):
            return True
        return asked is None and value.unit in ("", *_COUNTED)
    if asked is None:
        return following.lstrip().startswith(unit) or text[value.start : value.end].endswith(unit)
    return asked in _COUNTED and (value.unit == "thing" or not value.unit)
