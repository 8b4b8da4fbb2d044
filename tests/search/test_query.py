"""The query language and highlights, on any text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.search import Filters, highlights, parse_query
from madang.search.query import narrowed
from madang.text import terms

VALUES = st.text(
    alphabet=st.characters(exclude_categories=("Cs", "Z", "C"), exclude_characters='"'), min_size=1
).filter(lambda value: value.strip("@") == value)
MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),
    max_value=datetime(2200, 1, 1),
    timezones=st.just(UTC),
)


def test_a_query_is_taken_apart() -> None:
    parsed = parse_query(
        '"배가 떠난" ferry from:@mina from:"Kim Joon" since:2026 until:2026-11 lang:ko'
    )
    assert parsed.words == '"배가 떠난" ferry'
    assert parsed.phrases == ("배가 떠난",)
    assert parsed.filters == Filters(
        authors=("mina", "Kim Joon"),
        langs=("ko",),
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 11, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-1-2", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-11-23T14:00:00Z", datetime(2026, 11, 23, 14, tzinfo=UTC)),
        ("2026-11-23T14:00", datetime(2026, 11, 23, 14, tzinfo=UTC)),
        ("2026-11-23T14:00:00+09:00", datetime(2026, 11, 23, 5, tzinfo=UTC)),
    ],
)
def test_moments(written: str, moment: datetime) -> None:
    assert parse_query(f"since:{written}").filters.since == moment


@pytest.mark.parametrize(
    "text", ["from:", "https://a.b/c", "xfrom:mina", "note:this", 'from:""', '"open', "7:30"]
)
def test_what_is_no_filter_restricts_nothing(text: str) -> None:
    assert parse_query(text).filters == Filters()


SCRAPS = st.sampled_from(
    ['"', "from:", "since:", "until:", "thread:", "2026", "-", " ", "x", "가", "T", "Z", "+", "9"]
)


@given(st.text() | st.lists(SCRAPS).map("".join))
def test_any_text_is_a_query_or_a_named_mistake(text: str) -> None:
    try:
        parsed = parse_query(text)
    except ValueError as error:
        assert "is no date" in str(error)
    else:
        for phrase in parsed.phrases:
            assert phrase in text


@given(st.lists(VALUES), st.lists(VALUES), st.none() | MOMENTS, st.none() | MOMENTS, VALUES)
def test_filters_that_are_written_are_read(
    authors: list[str],
    sources: list[str],
    since: datetime | None,
    until: datetime | None,
    thread: str,
) -> None:
    parts = [f'from:"{author}"' for author in authors]
    parts += [f"source:{source}" for source in sources]
    parts += [f"since:{since.isoformat()}"] if since else []
    parts += (
        [f"UNTIL:{until.astimezone(timezone(timedelta(hours=9))).isoformat()}"] if until else []
    )
    parts += [f"thread:{thread}"]
    assert parse_query("배 " + " ".join(parts) + " boat").words == "배 boat"
    assert parse_query(" ".join(parts)).filters == Filters(
        authors=tuple(authors), sources=tuple(sources), since=since, until=until, thread=thread
    )


NAMES = st.lists(st.sampled_from(["mina", "Mina", "joon", "sora"])).map(tuple)
FILTERS = st.builds(
    Filters,
    authors=NAMES,
    since=st.none() | MOMENTS,
    thread=st.none() | st.sampled_from(["a", "b"]),
    only=st.none() | NAMES,
)


@given(FILTERS, FILTERS)
def test_narrowing_passes_only_what_both_pass(one: Filters, other: Filters) -> None:
    def passes(filters: Filters, author: str, post: str, thread: str, at: datetime) -> bool:
        return (
            (not filters.authors or author in {name.casefold() for name in filters.authors})
            and (filters.since is None or at >= filters.since)
            and (filters.thread is None or thread == filters.thread)
            and (filters.only is None or post in filters.only)
        )

    both = narrowed(one, other)
    for author in ("mina", "joon", "sora"):
        for post in ("mina", "joon"):
            for at in (datetime(2000, 1, 1, tzinfo=UTC), datetime(2150, 1, 1, tzinfo=UTC)):
                case = (author, post, "a", at)
                assert passes(both, *case) == (passes(one, *case) and passes(other, *case))


TEXTS = st.text() | st.lists(
    st.sampled_from(
        [
            "계엄이라니",
            "running",
            "#HurricaneIrma",
            "KBS뉴스",
            "3.5",
            "café",
            " ",
            "ㅋㅋㅋ",
            "@a@b.c",
        ]
    )
).map("".join)


@given(TEXTS, TEXTS)
def test_highlights_are_the_words_asked_for(text: str, query: str) -> None:
    wanted = set(terms(query)) | set(terms(text)[::3])
    spans = highlights(text, wanted)
    last = -1
    for start, end in spans:
        assert last < start < end <= len(text)
        last = end
    assert bool(spans) == bool(wanted & set(terms(text)))


def test_highlighted_text_is_made_of_the_words_asked_for() -> None:
    text = "계엄이라니, 비상계엄! Running runs; #HurricaneIrma, café 1,200"
    wanted = {"계엄", "run", "irma", "cafe", "1200"}
    pieces = [text[start:end] for start, end in highlights(text, wanted)]
    assert pieces == ["계엄", "계엄", "Running", "runs", "Irma", "café", "1,200"]
    for piece in pieces:
        assert set(terms(piece)) <= wanted
