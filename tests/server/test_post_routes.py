"""Posts over HTTP: found, read with their threads, written, edited, erased."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Served, error_of


def search(served: Served, **parameters: Any) -> dict[str, Any]:
    response = served.client.get("/v1/search", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def found(served: Served, **parameters: Any) -> list[str]:
    return [hit["id"] for hit in search(served, **parameters)["hits"]]


def write(served: Served, **post: Any) -> httpx.Response:
    return served.client.post("/v1/posts", json=post, headers=served.admin)


def erase(served: Served, path: str, **parameters: str) -> httpx.Response:
    return served.client.delete(path, params=parameters, headers=served.admin)


def eventually(holds: Callable[[], bool], within_s: float = 1.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_hit_tells_what_a_person_needs(reading: Served) -> None:
    result = search(reading, q="등불축제", limit=3)
    assert 0 < len(result["hits"]) <= 3
    assert 0 <= result["took_ms"] < 5000
    for hit in result["hits"]:
        assert set(hit) == {
            *("id", "source", "author", "author_name", "created_at", "lang", "text", "score"),
            *("highlights", "url"),
        }
        assert hit["highlights"]
        for start, end in hit["highlights"]:
            assert 0 <= start < end <= len(hit["text"])


def test_parameters_restrict_a_search(reading: Served) -> None:
    by_author = search(reading, q="ferry", author=["gaon_ferry"], limit=50)["hits"]
    assert by_author and {hit["author"] for hit in by_author} == {"gaon_ferry"}
    two = search(reading, q="", author=["gaon_ferry", "minseo"], limit=100)["hits"]
    assert {hit["author"] for hit in two} == {"gaon_ferry", "minseo"}
    english = search(reading, q="Dalseom 달섬", lang="en", limit=50)["hits"]
    assert english and {hit["lang"] for hit in english} == {"en"}
    november = search(reading, q="ferry", since="2026-11-01", limit=50)["hits"]
    assert november and all(hit["created_at"] >= "2026-11-01" for hit in november)
    before = search(reading, q="ferry", until="2026-09-01T00:00:00Z", limit=50)["hits"]
    assert before and all(hit["created_at"] < "2026-09-01" for hit in before)
    assert found(reading, q="ferry", source="elsewhere") == []
    assert found(reading, q="ferry", source="town")
    newest = [hit["created_at"] for hit in search(reading, q="ferry", order="newest")["hits"]]
    assert newest == sorted(newest, reverse=True)
    thread = found(reading, q="bike", thread="town:0002", limit=50)
    assert "town:0003" in thread


def test_filters_may_stand_in_the_query(reading: Served) -> None:
    hits = search(reading, q="ferry from:gaon_ferry lang:en", limit=50)["hits"]
    assert hits
    assert {(hit["author"], hit["lang"]) for hit in hits} == {("gaon_ferry", "en")}


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"q": "x", "limit": 0}, "limit"),
        ({"q": "x", "limit": 101}, "limit"),
        ({"q": "x", "limit": "ten"}, "limit"),
        ({"q": "x", "order": "oldest"}, "order"),
        ({"q": "x", "since": "yesterday"}, "since"),
        ({"q": "x", "until": "2026-13-40"}, "until"),
        ({"q": "x" * 1001}, "q"),
        ({"q": "x since:yesterday"}, "q"),
        ({"query": "x"}, "query"),
    ],
)
def test_a_mistake_in_a_search_is_named(
    reading: Served, parameters: dict[str, Any], param: str
) -> None:
    response = reading.client.get("/v1/search", params=parameters)
    assert response.status_code == 400, response.text
    assert error_of(response)["param"] == param


@given(q=st.text(max_size=60))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_breaks_it(reading: Served, q: str) -> None:
    q = q.encode("utf-8", "ignore").decode()
    response = reading.client.get("/v1/search", params={"q": q})
    assert response.status_code in (200, 400), (q, response.text)


def test_posts_that_may_not_be_searched_are_not_there(reading: Served) -> None:
    hidden = [id for id in (f"town:{n:04}" for n in range(1, 440)) if is_hidden(reading, id)]
    assert hidden
    for id in hidden:
        response = reading.post(id)
        assert response.status_code == 404
        assert id not in found(reading, q="", limit=100)


def is_hidden(served: Served, id: str) -> bool:
    stored = served.home.log.find([id]).get(id)
    return stored is not None and not stored.allows("search")


def test_a_post_comes_with_its_thread(reading: Served) -> None:
    post = reading.post("town:0003").json()
    assert post["author"] == "daniel_k"
    ids = [one["id"] for one in post["thread_posts"]]
    assert ids[:2] == ["town:0002", "town:0003"]
    times = [one["created_at"] for one in post["thread_posts"]]
    assert times == sorted(times)


def test_a_long_thread_is_shown_around_the_post(served: Served) -> None:
    for n in range(50):
        moment = f"2026-12-01T00:{n:02}:00Z"
        write(served, id=f"t:{n}", text=f"reply {n}", thread="t:0", created_at=moment)
    for n in (0, 5, 25, 49):
        ids = [one["id"] for one in served.post(f"t:{n}").json()["thread_posts"]]
        assert len(ids) == 20
        assert f"t:{n}" in ids
        assert ids == [f"t:{int(ids[0][2:]) + step}" for step in range(20)]


URIS = [
    "https://social.example/users/mina/statuses/1",
    "at://did:plc:abc/app.bsky.feed.post/3k",
    "x:1/2?q=1&r=%2F#frag",
    "urn:a+b c".replace(" ", "%20"),
    "한:글/주소",
    "a..//b/../c",
]


@pytest.mark.parametrize("id", URIS)
def test_any_uri_can_be_an_id(served: Served, id: str) -> None:
    assert write(served, id=id, text="안녕 hello").json()["id"] == id
    assert served.post(id).json()["id"] == id
    assert erase(served, f"/v1/posts/{quote(id, safe='')}").json()["outcome"] == "deleted"
    assert served.post(id).status_code == 410


def test_a_written_post_is_found_within_a_second_and_gone_within_one(served: Served) -> None:
    response = write(served, text="The quokka has landed at the pier", author="mina")
    assert response.status_code == 201
    body = response.json()
    assert (body["outcome"], body["object"]) == ("written", "post")
    id = body["id"]
    assert id.startswith("local:")
    assert eventually(lambda: found(served, q="quokka") == [id])
    post = served.post(id).json()
    assert (post["source"], post["lang"], post["author"]) == ("local", "en", "mina")
    assert post["created_at"]

    edit = {"id": id, "text": "The wombat has landed at the pier", "author": "mina"}
    assert write(served, **edit).json()["outcome"] == "edited"
    assert write(served, **edit).json()["outcome"] == "unchanged"
    assert eventually(lambda: found(served, q="wombat") == [id] and found(served, q="quokka") == [])
    assert served.post(id).json()["edited_at"]

    gone = erase(served, f"/v1/posts/{quote(id, safe='')}")
    assert (gone.status_code, gone.json()["outcome"]) == (200, "deleted")
    assert served.post(id).status_code == 410
    assert error_of(served.post(id))["code"] == "erased"
    assert eventually(lambda: found(served, q="wombat") == [])
    answer = served.ask("Where has the wombat landed?").json()["madang"]["answer"]
    assert "wombat" not in str(answer["sentences"]) and id not in answer["evidence"]
    again = write(served, **edit)
    assert again.status_code == 410
    assert error_of(again)["code"] == "erased"


def test_a_written_post_is_answered_from(served: Served) -> None:
    text = "The ice rink on the fish market roof opens on 3 December at 10:00."
    id = write(served, text=text, author="mina").json()["id"]
    assert eventually(lambda: found(served, q="rink") == [id])
    answer = served.ask("When does the ice rink on the fish market roof open?").json()["madang"]
    cited = {c["post"] for one in answer["answer"]["sentences"] for c in one["citations"]}
    assert id in cited


def test_all_posts_of_an_author_can_be_erased(served: Served) -> None:
    theirs = found(served, q="", author=["minseo"], limit=100)
    assert len(theirs) > 3
    assert erase(served, "/v1/authors/minseo", source="town").json() == {
        "id": "minseo",
        "object": "author",
        "outcome": "deleted",
    }
    assert eventually(lambda: found(served, q="", author=["minseo"], limit=100) == [])
    assert {served.post(id).status_code for id in theirs} == {410}
    assert write(served, text="x", author="minseo", source="town").status_code == 410


def test_an_author_of_that_name_must_be_the_only_one(served: Served) -> None:
    write(served, text="I am another", author="minseo", source="elsewhere")
    ambiguous = erase(served, "/v1/authors/minseo")
    assert ambiguous.status_code == 400
    assert error_of(ambiguous)["param"] == "source"
    assert "elsewhere" in ambiguous.text and "town" in ambiguous.text
    unknown = erase(served, "/v1/authors/nobody")
    assert unknown.status_code == 404
    assert found(served, q="", author=["minseo"], limit=100)


def test_every_field_of_a_post_arrives(served: Served) -> None:
    post = {
        "id": "local:full",
        "source": "board",
        "text": "Fog. 안개.",
        "author": "mina",
        "author_name": "Mina 미나",
        "created_at": "2026-11-20T09:00:00+09:00",
        "edited_at": "2026-11-20T01:00:00Z",
        "lang": "ko",
        "reply_to": "town:0001",
        "thread": "town:0001",
        "quote_of": "town:0002",
        "media": [{"kind": "image", "url": "https://town.example/a.png", "alt": "안개"}],
        "tags": ["fog"],
        "visibility": "unlisted",
        "sensitive": True,
        "url": "https://town.example/p/full",
        "metrics": {"likes": 3},
    }
    assert write(served, **post).status_code == 201
    stored = served.post("local:full").json()
    assert stored.pop("thread_posts")
    assert stored == {**post, "created_at": "2026-11-20T00:00:00Z"}


@pytest.mark.parametrize(
    ("post", "param"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \x00 "}, "text"),
        ({"text": 7}, "text"),
        ({"text": "x" * 100_001}, "text"),
        ({"text": "x", "id": ""}, "id"),
        ({"text": "x", "id": "a\nb"}, "id"),
        ({"text": "x", "id": "a\x00b"}, "id"),
        ({"text": "x", "id": " a"}, "id"),
        ({"text": "x", "id": "x" * 2049}, "id"),
        ({"text": "x", "source": ""}, "source"),
        ({"text": "x", "created_at": "yesterday"}, "created_at"),
        ({"text": "x", "created_at": "2026-11-20T09:00:00"}, "created_at"),
        ({"text": "x", "lang": "not a tag"}, "lang"),
        ({"text": "x", "visibility": "private"}, "visibility"),
        ({"text": "x", "visibility": "direct"}, "visibility"),
        ({"text": "x", "sensitive": "perhaps"}, "sensitive"),
        ({"text": "x", "tags": "fog"}, "tags"),
        ({"text": "x", "tags": [1]}, "tags[0]"),
        ({"text": "x", "media": [{}]}, "media[0].kind"),
        ({"text": "x", "media": [{"kind": "image", "path": "/etc/passwd"}]}, "media[0].path"),
        ({"text": "x", "metrics": {"likes": -1}}, "metrics.likes"),
        ({"text": "x", "autor": "mina"}, "autor"),
    ],
)
def test_a_mistake_in_a_post_is_named(served: Served, post: dict[str, Any], param: str) -> None:
    before = served.home.log.last_seq
    response = write(served, **post)
    assert response.status_code == 400, response.text
    assert error_of(response)["param"] == param
    assert served.home.log.last_seq == before


def test_what_cannot_be_stored_is_left_out_of_a_text(served: Served) -> None:
    id = write(served, text="  cafe\u0301\r\n\x00line \u200b\u202eabc ").json()["id"]
    assert served.post(id).json()["text"] == "café\nline \u200b\u202eabc"


@given(text=st.text(min_size=1, max_size=200), author=st.none() | st.text(max_size=20))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_can_be_written_and_read_again(
    served: Served, text: str, author: str | None
) -> None:
    text = text.encode("utf-8", "ignore").decode()
    response = write(served, text=text, **({"author": author} if author is not None else {}))
    if response.status_code == 201:
        stored = served.post(response.json()["id"]).json()
        assert stored["text"]
        assert stored.get("author") == author
    else:
        assert response.status_code == 400, response.text
        assert error_of(response)["param"] in ("text", "author", None)
