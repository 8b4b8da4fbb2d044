"""Values of rows as people and programs write them: ids, times, words, yes and no."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

MAX_ID_LENGTH: Final = 500

# A scheme, as in `x:1` or `at://…`; letters of every script, so that `마당:1` counts as well.
_PREFIXED: Final = re.compile(r"[^\W\d_A-Z](?:[^\WA-Z]|[+.-])*:[^\s]")
_SOURCE: Final = re.compile(r"[^\W\d_A-Z](?:[^\WA-Z]|[+.-])*")
_NOT_IN_SOURCE: Final = re.compile(r"[^\w+.-]+")
_FORBIDDEN_IN_ID: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# What a spreadsheet leaves of a long number: `5.70306E+17`, `5,7E+17`, `1E18`. Ids in base 36 may
# look like the last (`reddit:7e46`), so behind a prefix, which no spreadsheet writes, it is one.
_SPREADSHEET: Final = re.compile(
    r"[+-]?\d+[.,]\d*e[+-]?\d+|[+-]?\d+e[+-]\d+|\A[+-]?\de\d\d", re.IGNORECASE
)
_NOTHING: Final = frozenset(
    {"nan", "none", "null", "nat", "n/a", "#n/a", "#ref!", "#value!", "#name?", "inf", "-inf"}
)
_INTEGER_FLOAT: Final = re.compile(r"\d{1,16}\.0")
# Above this, neighbouring whole numbers fall together in a float.
_EXACT: Final = 2**53

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_X_TIME: Final = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d) (\d{4})"
)
_YEAR_FIRST: Final = re.compile(
    r"(\d{4})\s?[./-]\s?(\d{1,2})\s?[./-]\s?(\d{1,2})\.?"
    r"(?:[T\s]\s*(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?"
)
_NUMBER: Final = re.compile(r"-?\d{5,13}(?:\.\d+)?")
# Days since 1900, which is how a spreadsheet exports a date that lost its format: 1954 to 2118.
_SPREADSHEET_DAYS: Final = (20_000, 80_000)
_MILLISECONDS_FROM: Final = 100_000_000_000

_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "1.0", "on"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "0.0", "off", ""})


def read_id(value: object) -> str | None:
    """Return an id as text, or none where it is missing, damaged or cannot be an id.

    A whole float below 2**53 is the integer that it was (`3.0` is `3`); any other float and what
    spreadsheets make of long numbers (`5.70306E+17`) stand for many ids at once and are no id.
    """
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER_FLOAT.fullmatch(text):
            text = text[:-2]
            return text if int(text) < _EXACT else None
        if not text or len(text) > MAX_ID_LENGTH or text.lower() in _NOTHING:
            return None
        if _FORBIDDEN_IN_ID.search(text) or _SPREADSHEET.fullmatch(text, text.rfind(":") + 1):
            return None
        return text
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if abs(value) < 10**MAX_ID_LENGTH else None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return None


def has_prefix(identifier: str) -> bool:
    """Return whether an id says by itself where it comes from, as `x:1` and `at://…` do."""
    return _PREFIXED.match(identifier) is not None


def is_source_name(name: str) -> bool:
    """Return whether a name can stand before the colon of an id."""
    return _SOURCE.fullmatch(name) is not None


@lru_cache(maxsize=1024)
def source_name(text: str) -> str:
    """Return what can stand before the colon of an id, made of any text."""
    name = _NOT_IN_SOURCE.sub("-", text.strip().lower()).strip("-.+")
    if not name:
        return "file"
    return (
        name if is_source_name(name) else f"file-{name}" if is_source_name(f"a{name}") else "file"
    )


def read_time(value: object) -> datetime | None:
    """Return a moment in UTC, or none where there is none; a time without zone is in UTC.

    Reads ISO 8601, dates alone, year-first dates with dots or slashes, X's and RFC 2822's form,
    and seconds or milliseconds since 1970. Raises ValueError on anything else and on moments
    before 1970 or after 2100.
    """
    if isinstance(value, str):
        moment = _parse_time(value)
    elif value is None:
        return None
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("is not a time")
    elif value != value:
        return None
    else:
        moment = _from_epoch(value)
    if moment is not None and not _EARLIEST <= moment < _LATEST:
        raise ValueError("lies before 1970 or after 2100")
    return moment


def _parse_time(text: str) -> datetime | None:
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        other = _parse_other_time(text)
        if other is None:
            return None
        moment = other
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies before 1970 or after 2100") from error


def _parse_other_time(text: str) -> datetime | None:
    if not text or text.lower() in _NOTHING:
        return None
    if len(text) > 100:
        raise ValueError("is not a time")
    if _NUMBER.fullmatch(text):
        return _from_epoch(float(text))
    text = text.removesuffix(" UTC").removesuffix(" GMT")
    try:
        if match := _X_TIME.fullmatch(text):
            return _x_time(match)
        if match := _YEAR_FIRST.fullmatch(text):
            return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]
        return parsedate_to_datetime(text)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError("is not a time") from error


def _x_time(match: re.Match[str]) -> datetime:
    month, day, hour, minute, second, sign, zone_hours, zone_minutes, year = match.groups()
    moment = datetime(
        int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), int(second), tzinfo=UTC
    )
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    return moment - offset if sign == "+" else moment + offset


def _from_epoch(number: float) -> datetime:
    if _SPREADSHEET_DAYS[0] <= number < _SPREADSHEET_DAYS[1]:
        raise ValueError("is a spreadsheet's number of days, not a time")
    try:
        seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError("lies before 1970 or after 2100") from error


def read_bool(value: object) -> bool | None:
    """Return yes, no, or none where a value is neither; missing is no."""
    if value is None or value is False:
        return False
    if value is True:
        return True
    word = str(value).strip().lower() if isinstance(value, (str, int, float)) else "?"
    if word in _TRUE:
        return True
    return False if word in _FALSE or word in _NOTHING else None
