"""What a search finds, in which order, and what it may never return."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from madang.posts import Consent, Delete, DeleteAuthor, Media, PostLog, SetVisibility
from madang.search import Filters, LexicalIndex
from madang.text import terms

Writer = Callable[..., None]


def fields(**given: Any) -> dict[str, Any]:
    return given


def day(number: int) -> datetime:
    return datetime(2026, 11, number, 9, tzinfo=UTC)


def ids(index: LexicalIndex, query: str, **options: Any) -> list[str]:
    return [hit.post.id.removeprefix("t:") for hit in index.search(query, **options)]


@pytest.fixture
def town(index: LexicalIndex, write: Writer) -> LexicalIndex:
    write(
        ferry=fields(
            text="The ferry leaves at 7:30 from pier 3",
            author="mina",
            created_at=day(1),
            lang="en",
            thread="t:harbour",
        ),
        ferry2=fields(
            text="The ferry now leaves at 8:00",
            author="Joon",
            created_at=day(3),
            lang="en-US",
            thread="t:harbour",
        ),
        bae=fields(
            text="배는 7시 30분에 떠나요 #여객선", author="mina", created_at=day(2), lang="ko"
        ),
        gyeeom=fields(
            text="계엄이라니 이게 무슨 일이야", author="haneul", created_at=day(4), lang="ko"
        ),
        cafe=fields(text="The café by the pier is open", source="blog", author="joon", lang="en"),
        running=fields(
            text="I was running to the market, thanks @mina",
            author="sora",
            created_at=day(5),
            lang="en",
        ),
    )
    index.follow()
    return index


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("계엄", ["gyeeom"]),
        ("run", ["running"]),
        ("cafe", ["cafe"]),
        ("7:30", ["ferry"]),
        ("#여객선", ["bae"]),
        ("여객선", ["bae"]),
        ("pier from:joon", ["cafe"]),
        ("leaves from:joon", ["ferry2"]),
        ("leaves lang:en since:2026-11-02", ["ferry2"]),
        ("leaves until:2026-11-03", ["ferry"]),
        ("pier source:blog", ["cafe"]),
        ("leaves thread:t:harbour 8:00", ["ferry2", "ferry"]),
        ('"leaves at 7:30"', ["ferry"]),
        ('"leaves from"', []),
        ('"ferr" leaves', []),
        ('"7시 30분"', ["bae"]),
        ('"시 30분에"', ["bae"]),
        ("unheard", []),
        ("from:nobody", []),
        ("", ["running", "gyeeom", "ferry2", "bae", "ferry", "cafe"]),
        ("from:MINA", ["bae", "ferry"]),
        ("since:2026-11-04", ["running", "gyeeom"]),
        ("until:2026-11-02", ["ferry"]),
        ("lang:ko", ["gyeeom", "bae"]),
        ("?!", ["running", "gyeeom", "ferry2", "bae", "ferry", "cafe"]),
    ],
)
def test_finds(town: LexicalIndex, query: str, found: list[str]) -> None:
    assert ids(town, query) == found


def test_a_handle_finds_what_was_written_by_and_to_someone(town: LexicalIndex) -> None:
    assert set(ids(town, "@mina")) == {"ferry", "bae", "running"}


def test_filters_of_the_call_and_of_the_query_both_hold(town: LexicalIndex) -> None:
    mina = Filters(authors=("mina",))
    assert ids(town, "lang:ko", filters=mina) == ["bae"]
    assert ids(town, "from:joon", filters=mina) == []
    only = Filters(only=("t:bae", "t:cafe", "t:absent"))
    assert set(ids(town, "", filters=only)) == {"bae", "cafe"}
    assert ids(town, "pier", filters=only) == ["cafe"]
    assert ids(town, "pier", filters=Filters(only=())) == []
    assert ids(town, "", filters=Filters(since=day(2), until=day(4))) == ["ferry2", "bae"]


def test_newest_first_takes_the_posts_that_hold_most_of_the_words(
    index: LexicalIndex, write: Writer
) -> None:
    write(
        old=fields(text="harbour festival fireworks", created_at=day(1)),
        new=fields(text="fireworks at the harbour festival again", created_at=day(2)),
        other=fields(text="a festival of other things", created_at=day(3)),
        undated="harbour festival fireworks once",
    )
    index.follow()
    assert ids(index, "harbour festival fireworks", order="newest") == ["new", "old", "undated"]
    assert ids(index, "harbour festival regatta", order="newest") == ["new", "old", "undated"]
    assert ids(index, "festival", order="newest") == ["other", "new", "old", "undated"]


def test_words_that_stand_together_come_first(index: LexicalIndex, write: Writer) -> None:
    write(
        apart="the market has a red door and a boat with a sail",
        together="the red boat has a door and the market a sail",
        filler="nothing of the kind",
    )
    index.follow()
    assert ids(index, "red boat")[0] == "together"


def test_highlights_are_places_of_the_words(town: LexicalIndex) -> None:
    (hit,) = town.search("계엄이라니")
    assert [hit.post.text[a:b] for a, b in hit.highlights] == ["계엄이라니"]
    hit = town.search("run market")[0]
    assert [hit.post.text[a:b] for a, b in hit.highlights] == ["running", "market"]


def test_descriptions_of_pictures_and_tags_are_searched(index: LexicalIndex, write: Writer) -> None:
    write(
        a=fields(text="look", media=(Media("image", alt="a heron on the quay"),), tags=("birds",))
    )
    index.follow()
    assert ids(index, "heron") == ids(index, "#birds") == ["a"]


@pytest.mark.parametrize("caught_up", [True, False])
def test_what_may_not_be_seen_never_leaves(
    index: LexicalIndex, log: PostLog, write: Writer, caught_up: bool
) -> None:
    write(
        stays="harbour one",
        deleted="harbour two",
        hidden="harbour three",
        refused=fields(text="harbour four", author="sora"),
        gone=fields(text="harbour five", author="joon"),
    )
    index.follow()
    log.append(
        [
            Delete("t:deleted"),
            SetVisibility("t:hidden", visible=False),
            Consent("t", "sora", {"search": False}),
            DeleteAuthor("t", "joon"),
        ]
    )
    if caught_up:
        index.follow()
    for options in ({}, {"order": "newest"}, {"filters": Filters(only=("t:hidden", "t:stays"))}):
        assert ids(index, "harbour", **options) == ["stays"]
    assert set(ids(index, "harbour", purpose="ground")) == {"stays", "refused"}
    assert ids(index, "harbour", purpose="train") == []


def test_forbidden_posts_do_not_use_up_the_limit(
    index: LexicalIndex, log: PostLog, write: Writer
) -> None:
    write(**{f"n{n}": fields(text="harbour harbour harbour", author="joon") for n in range(300)})
    write(last="a harbour in a long sentence about many other things")
    log.append([Consent("t", "joon", {"search": False})])
    index.follow()
    assert ids(index, "harbour") == ["last"]
    assert ids(index, "", order="newest") == ["last"]


def test_an_edit_is_found_by_its_new_words_only(index: LexicalIndex, write: Writer) -> None:
    write(a="the ferry leaves at seven")
    index.follow()
    write(a="the ferry leaves at eight")
    assert index.follow() == 1
    assert ids(index, "seven ferry") == ["a"]
    assert ids(index, "seven") == []
    assert ids(index, "eight") == ["a"]


def test_limit_and_order_of_equals(index: LexicalIndex, write: Writer) -> None:
    write(**{f"n{n}": "same words" for n in range(30)})
    index.follow()
    assert ids(index, "same", limit=3) == ["n29", "n28", "n27"]
    assert len(ids(index, "same", limit=100)) == 30


@pytest.mark.parametrize(
    ("query", "options", "sentence"),
    [
        ("since:2026-13-01 boat", {}, "since:2026-13-01 is no date"),
        ("until:soon", {}, "until:soon is no date"),
        ("boat", {"limit": 0}, "limit is 0"),
        ("boat", {"filters": Filters(since=datetime(2026, 1, 1))}, "since has no time zone"),
    ],
)
def test_mistakes_are_named(
    index: LexicalIndex, query: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        index.search(query, **options)


HOSTILE = ["a" * 100_000, "가" * 100_000, '"' * 5000, "from: " * 5000, "\x00\u202e", "x " * 50_000]


@pytest.mark.parametrize("hostile", [*HOSTILE, "((((AND NOT body:*"])
def test_hostile_queries_are_only_queries(town: LexicalIndex, hostile: str) -> None:
    assert isinstance(town.search(hostile), list)


def test_one_small_shard_does_not_bend_the_scores(
    index: LexicalIndex, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang.search.lexical.SHARD_SIZE", 64)
    monkeypatch.setattr("madang.search.searching.SHARD_SIZE", 64)
    write(**{f"n{n}": "boats in the harbour" for n in range(62)})
    write(common="boats", rare="lighthouse", fresh="boats and boats")
    index.follow()
    hits = index.search("boats lighthouse")
    # "lighthouse" is rare in the whole index, though not in its own tiny shard.
    assert hits[0].post.id == "t:rare"
    assert len(ids(index, "boats", limit=100)) == 64
    assert set(ids(index, "", filters=Filters(only=("t:fresh", "t:n1")))) == {"fresh", "n1"}
    assert terms("boats") == ["boat"]
