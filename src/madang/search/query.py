"""The language of queries: words, "phrases", and filters such as `from:` and `since:`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from madang.search.hit import Filters


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query taken apart. `words` holds the words of the phrases too."""

    words: str
    phrases: tuple[str, ...]
    filters: Filters


_FILTER: Final = re.compile(
    r'(?<!\S)(?P<name>from|since|until|lang|source|thread):(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+))'
    r"(?!\S)",
    re.IGNORECASE,
)
_PHRASE: Final = re.compile(r'(?<!\w)["“”„«「『]([^"“”„«»「」『』]+)["”“»」』](?!\w)')
_DAY: Final = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


def parse_query(text: str) -> ParsedQuery:
    """Take a query apart.

    Several `from:`, `lang:` or `source:` are alternatives; `since:` (inclusive) and `until:`
    (exclusive) take a year, a month, a day or an RFC 3339 time, in UTC where no zone is given.
    What is no filter is a word. Raises ValueError for a date that is none.
    """
    filters = Filters()

    def take(match: re.Match[str]) -> str:
        nonlocal filters
        value = match["plain"] if match["quoted"] is None else match["quoted"]
        if not value.strip():
            return " "
        filters = _ADD[match["name"].lower()](filters, value.strip())
        return " "

    words = _FILTER.sub(take, text)
    phrases = tuple(p.strip() for p in _PHRASE.findall(words) if p.strip())
    return ParsedQuery(" ".join(words.split()), phrases, filters)


def narrowed(filters: Filters, by: Filters) -> Filters:
    """Return what passes both; where nothing can, `only` is empty."""
    contradiction = False

    def both(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
        nonlocal contradiction
        if not a or not b:
            return a or b
        folded = {value.casefold() for value in b}
        common = tuple(value for value in a if value.casefold() in folded)
        contradiction |= not common
        return common

    authors = both(filters.authors, by.authors)
    langs = both(filters.langs, by.langs)
    sources = both(filters.sources, by.sources)
    only = by.only if filters.only is None else filters.only
    if filters.only is not None and by.only is not None:
        allowed = set(by.only)
        only = tuple(post for post in filters.only if post in allowed)
    if filters.thread is not None and by.thread is not None:
        contradiction |= filters.thread != by.thread
    return Filters(
        authors=authors,
        langs=langs,
        sources=sources,
        since=max((t for t in (filters.since, by.since) if t is not None), default=None),
        until=min((t for t in (filters.until, by.until) if t is not None), default=None),
        thread=by.thread if filters.thread is None else filters.thread,
        only=() if contradiction else only,
    )


def _from(filters: Filters, value: str) -> Filters:
    return replace(filters, authors=(*filters.authors, value.removeprefix("@") or value))


def _lang(filters: Filters, value: str) -> Filters:
    return replace(filters, langs=(*filters.langs, value))


def _source(filters: Filters, value: str) -> Filters:
    return replace(filters, sources=(*filters.sources, value))


def _thread(filters: Filters, value: str) -> Filters:
    if filters.thread is not None and filters.thread != value:
        return replace(filters, only=())
    return replace(filters, thread=value)


def _since(filters: Filters, value: str) -> Filters:
    moment = parse_moment("since", value)
    return replace(filters, since=max(filters.since or moment, moment))


def _until(filters: Filters, value: str) -> Filters:
    moment = parse_moment("until", value)
    return replace(filters, until=min(filters.until or moment, moment))


_ADD: Final[dict[str, Callable[[Filters, str], Filters]]] = {
    "from": _from,
    "lang": _lang,
    "source": _source,
    "thread": _thread,
    "since": _since,
    "until": _until,
}


def parse_moment(name: str, value: str) -> datetime:
    """Read a year, month, day or RFC 3339 time. Raises ValueError naming the filter `name`."""
    try:
        day = _DAY.fullmatch(value)
        if day:
            year, month, date = (int(part) if part else 1 for part in day.groups())
            return datetime(year, month, date, tzinfo=UTC)
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{name}:{value[:40]} is no date; write it as {name}:2026-11-23 "
            f"or {name}:2026-11-23T14:00:00Z"
        ) from None
