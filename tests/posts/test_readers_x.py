"""The archive of X: its own traps, one by one."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from archive_files import (
    account,
    folder_of,
    js,
    note,
    posts,
    read,
    read_bytes,
    reasons,
    tweet,
    x_files,
    zip_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.posts import Media
from madang.posts.readers import UnreadableFile, open_reader
from madang.posts.reading import Removed, Skipped, Written

SAME_PATH = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def link(short: str, full: str) -> dict[str, str]:
    return {"url": f"https://t.co/{short}", "expanded_url": full}


def one(tmp_path, entry, **more):
    """The only record of an archive with one entry."""
    (record,) = read_bytes(tmp_path / "a.zip", zip_of(x_files([entry], **more)))
    return record


def test_every_field_of_a_post(tmp_path):
    media = {
        "url": "https://t.co/pic",
        "media_url_https": "https://pbs.example/1.jpg",
        "type": "photo",
        "ext_alt_text": "부두의 시간표",
    }
    film = {
        "url": "https://t.co/pic",
        "media_url_https": "https://pbs.example/2.jpg",
        "type": "video",
        "video_info": {
            "variants": [
                {"content_type": "application/x-mpegURL", "url": "https://v.example/x.m3u8"},
                {"content_type": "video/mp4", "bitrate": "800", "url": "https://v.example/8.mp4"},
                {"content_type": "video/mp4", "bitrate": "2000", "url": "https://v.example/20.mp4"},
            ]
        },
    }
    entry = tweet(
        1854591356741861770,
        "@bada 내일은 &lt;여덟 시&gt; &amp;lt; 배 https://t.co/aaa입니다 https://t.co/pic",
        in_reply_to_status_id_str="1854584712419065998",
        entities={
            "urls": [link("aaa", "https://ferry.example/times?a=1&b=2")],
            "hashtags": [{"text": "배"}, {"text": "배"}],
            "media": [media],
        },
        extended_entities={"media": [media, film]},
        possibly_sensitive=True,
        lang="qme",
    )
    record = one(tmp_path, entry)
    assert isinstance(record, Written)
    post = record.post
    assert post.id == "x:1854591356741861770"
    assert post.source == "x"
    assert post.text == "@bada 내일은 <여덟 시> &lt; 배 https://ferry.example/times?a=1&b=2입니다"
    assert post.author == "haneul"
    assert post.author_name == "하늘"
    assert post.created_at == datetime(2024, 11, 9, 12, 14, 18, tzinfo=UTC)
    assert post.lang == "ko"
    assert post.reply_to == "x:1854584712419065998"
    assert post.quote_of is None
    assert post.media == (
        Media("image", "https://pbs.example/1.jpg", "부두의 시간표"),
        Media("video", "https://v.example/20.mp4"),
    )
    assert post.tags == ("배",)
    assert post.sensitive
    assert post.url == "https://x.com/haneul/status/1854591356741861770"
    assert post.metrics == {"likes": 3, "reposts": 1}
    assert record.own
    assert record.signals == {}
    assert record.file == str(tmp_path / "a.zip/data/tweets.js")


@pytest.mark.parametrize(
    "address",
    [
        "https://twitter.com/bada/status/77",
        "https://x.com/bada/status/77?s=20",
        "https://mobile.twitter.com/bada/status/77",
    ],
)
def test_a_link_to_a_post_is_a_quote(tmp_path, address):
    entities = {"urls": [link("q", address)]}
    post = one(tmp_path, tweet(1, "좋은 글 https://t.co/q", entities=entities)).post
    assert post.quote_of == "x:77"
    assert post.text == f"좋은 글 {address}"


def test_reposts_are_counted_and_not_stored(tmp_path):
    entries = [
        tweet(1, "RT @bada: 배가…"),
        tweet(2, "글", retweeted_status={}),
        tweet(3, "RT 아님"),
    ]
    records = read_bytes(tmp_path / "a", zip_of(x_files(entries)))
    assert reasons(records) == {"repost": 2}
    assert [post.text for post in posts(records)] == ["RT 아님"]


def test_long_posts_are_joined(tmp_path):
    long = "가" * 270 + " & 나머지 https://t.co/inNote 끝"
    quote = "https://x.com/bada/status/5"
    notes = [
        note("다른 글이다", at="2024-11-09T12:14:18.000Z"),
        note(
            long,
            urls=[{"shortUrl": "https://t.co/inNote", "expandedUrl": quote}],
        ),
        note("가" * 300, at="2024-11-09T12:14:19.000Z"),
    ]
    entry = tweet(1, "가" * 270 + " &amp; 나머지… https://t.co/self")
    post = one(tmp_path, entry, note_tweet=js("note_tweet", notes)).post
    assert post.text == "가" * 270 + f" & 나머지 {quote} 끝"
    assert post.quote_of == "x:5"


def test_long_posts_with_links_and_mentions_before_the_cut_are_joined(tmp_path):
    # The same link has another short form in the note, and a reply's mentions are not in it.
    text = "여기 https://t.co/one 에서 시작해서 길게 길게 이어지는 이야기"
    whole = text.replace("one", "two") + "의 끝"
    notes = [
        note(whole, urls=[{"shortUrl": "https://t.co/two", "expandedUrl": "https://a.example/"}])
    ]
    entities = {"urls": [link("one", "https://a.example/")]}
    entry = tweet(1, f"@bada @sora {text}…", entities=entities)
    post = one(tmp_path, entry, note_tweet=js("note_tweet", notes)).post
    expected = whole.replace("https://t.co/two", "https://a.example/")
    assert post.text == f"@bada @sora {expected}"


def test_what_only_looks_cut_stays_as_it_is(tmp_path):
    notes = js("note_tweet", [note("전혀 다른 글")])
    assert one(tmp_path, tweet(1, "기다리는 중…"), note_tweet=notes).post.text == "기다리는 중…"
    assert one(tmp_path, tweet(1, "전혀 다른"), note_tweet=notes).post.text == "전혀 다른"
    assert one(tmp_path, tweet(1, "…"), note_tweet=notes).post.text == "…"


def test_deleted_posts_are_reported_and_community_posts_read(tmp_path):
    files = x_files(
        [tweet(1)],
        deleted_tweets=js("deleted_tweets", [tweet(2, deleted_at="x"), tweet(3, "RT @a: b"), {}]),
        community_tweet=js("community_tweet", [tweet(4, community_id_str="9")]),
    )
    path = tmp_path / "a.zip"
    records = read_bytes(path, zip_of(files))
    assert [post.id for post in posts(records)] == ["x:4", "x:1"]
    assert [record for record in records if isinstance(record, Removed)] == [
        Removed("x:2", f"{path}/data/deleted-tweets.js", 1)
    ]
    assert reasons(records) == {"repost": 1, "invalid_id": 1}
    assert len(records) == 5


def test_parts_are_read_in_their_order(tmp_path):
    more = {f"tweets_part{n}": js("tweets", [tweet(n)]) for n in range(1, 12)}
    records = read_bytes(tmp_path / "a", zip_of(x_files([tweet(100)], **more)))
    assert [post.id for post in posts(records)] == [f"x:{n}" for n in (100, *range(1, 12))]


def test_old_archives_without_wrapper_or_plural(tmp_path):
    files = {"tweet.js": js("tweet", [tweet(1)["tweet"], {"id": 2, "text": "오래된 글"}])}
    found = posts(read(folder_of(tmp_path, files)))
    assert [post.id for post in found] == ["x:1", "x:2"]
    assert found[1].created_at is None


def test_a_protected_account_has_no_public_posts(tmp_path):
    changes = [
        {"protectedHistory": {"protectedAt": "2024-01-02T00:00:00.000Z", "action": "Protect"}},
        {"protectedHistory": {"protectedAt": "2020-01-02T00:00:00.000Z", "action": "Unprotect"}},
    ]
    protected = one(tmp_path, tweet(1), protected_history=js("protected_history", changes))
    assert isinstance(protected, Skipped)
    assert protected.reason == "private"
    changes[1]["protectedHistory"]["protectedAt"] = "2024-06-01T00:00:00.000Z"
    public = one(tmp_path, tweet(1), protected_history=js("protected_history", changes))
    assert isinstance(public, Written)


@pytest.mark.parametrize(
    ("bio", "signals"),
    [
        ("바다를 좋아해요 #NoAI", {"train": False}),
        ("#nobot please", {"train": False}),
        ("I like #noaircraft", {}),
        ("", {}),
    ],
)
def test_the_profile_can_refuse_training(tmp_path, bio, signals):
    profile = js("profile", [{"profile": {"description": {"bio": bio}}}])
    assert one(tmp_path, tweet(1), profile=profile).signals == signals


def test_without_account_the_handle_is_taken_from_the_own_pictures(tmp_path):
    def picture(number, owner):
        address = f"https://twitter.com/{owner}/status/{number}/photo/1"
        return {"media": [{"url": "https://t.co/p", "expanded_url": address, "type": "photo"}]}

    others = tweet(1, "a", entities=picture(99, "bada"))
    own = tweet(2, "b", entities=picture(2, "haneul"))
    path = tmp_path / "tweets.js"
    path.write_bytes(js("tweets", [others, own]))
    assert {post.author for post in posts(read(path))} == {"haneul"}
    path.write_bytes(js("tweets", [others]))
    (post,) = posts(read(path))
    assert post.author is None
    assert post.url == "https://x.com/i/status/1"


def test_nothing_of_the_account_but_its_names_comes_through(tmp_path):
    record = one(tmp_path, tweet(1), account=account("haneul", "하늘"))
    assert "e@x.test" not in repr(record)


def test_bare_files_of_an_archive(tmp_path):
    path = tmp_path / "any name"
    path.write_bytes(js("tweets", [tweet(1)]))
    assert open_reader(path).format == "x-archive"
    assert [post.id for post in posts(read(path))] == ["x:1"]
    path.write_bytes(js("deleted_tweets", [tweet(1)]))
    assert read(path) == [Removed("x:1", str(path), 1)]
    for word in ("direct_messages", "like", "note_tweet", "account", "ip_audit"):
        path.write_bytes(js(word, [tweet(1)]))
        with pytest.raises(UnreadableFile, match="holds no posts"):
            read(path)


def test_the_bare_data_folder_is_an_archive(tmp_path):
    folder = folder_of(tmp_path, x_files([tweet(1)])) / "data"
    assert [post.id for post in posts(read(folder))] == ["x:1"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "malformed"),
        (5, "malformed"),
        ("text", "malformed"),
        ([], "malformed"),
        ({"tweet": []}, "malformed"),
        ({}, "invalid_id"),
        (tweet(1, id_str="5.70306E+17"), "invalid_id"),
        (tweet(1, id_str=5.7e17), "invalid_id"),
        (tweet(1, id_str=""), "invalid_id"),
        (tweet(1, id_str="../1"), "invalid_id"),
        (tweet(1, created_at="soon"), "invalid_time"),
        (tweet(1, full_text=""), "no_text"),
        (tweet(1, full_text=5), "no_text"),
        (tweet(1, full_text="가" * 100_001), "malformed"),
        (
            tweet(1, "https://t.co/p", entities={"media": [{"url": "https://t.co/p"}]}),
            "no_text",
        ),
    ],
)
def test_entries_that_are_not_stored(tmp_path, entry, reason):
    records = read_bytes(tmp_path / "a", zip_of(x_files([tweet(7), entry, tweet(8)])))
    assert [type(record) for record in records] == [Written, Skipped, Written]
    assert records[1].reason == reason
    assert records[1].row == 2


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("place", [0, 5, 9])
@pytest.mark.parametrize(
    ("find", "put"),
    [('"full_text": "', '"full_text": '), ("{", "{{"), ("}", "]"), (":", ""), ('"lang"', "lang")],
)
def test_a_broken_entry_costs_itself(tmp_path, indent, place, find, put):
    entries = [tweet(number, f"글 {number}") for number in range(10)]
    parts = [json.dumps(entry, ensure_ascii=False, indent=indent) for entry in entries]
    parts[place] = parts[place].replace(find, put, 1)
    data = ("window.YTD.tweets.part0 = [\n  " + ",\n  ".join(parts) + "\n]").encode()
    path = tmp_path / "tweets.js"
    path.write_bytes(data)
    reader = open_reader(path)
    records = list(reader)
    expected = [f"x:{number}" for number in range(10) if number != place]
    assert [post.id for post in posts(records)] == expected
    assert reasons(records) == {"malformed": 1}
    if place < 9:
        assert reader.truncated is None


def test_a_file_cut_anywhere_gives_what_is_whole(tmp_path):
    data = js("tweets", [tweet(number) for number in range(1, 6)])
    path = tmp_path / "tweets.js"
    for cut in range(40, len(data), 7):
        path.write_bytes(data[:cut])
        reader = open_reader(path)
        records = list(reader)
        assert reader.truncated == "tweets.js ends early; imported what is whole"
        whole = posts(records)
        assert [post.id for post in whole] == [f"x:{n}" for n in range(1, len(whole) + 1)]
        assert len(records) - len(whole) <= 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["url", "media", "text", "urls", "type"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
TWEETS = st.dictionaries(
    st.sampled_from(
        [
            "id_str",
            "full_text",
            "created_at",
            "lang",
            "entities",
            "extended_entities",
            "favorite_count",
            "in_reply_to_status_id_str",
            "possibly_sensitive",
            "text",
            "id",
        ]
    ),
    VALUES,
)


@given(st.lists(st.fixed_dictionaries({"tweet": TWEETS}) | VALUES, max_size=6), VALUES)
@SAME_PATH
def test_every_entry_is_accounted_for(tmp_path, entries, about):
    files = {
        "data/tweets.js": js("tweets", entries),
        "data/account.js": js("account", [{"account": about}]),
        "data/profile.js": js("profile", [{"profile": about}]),
        "data/note-tweet.js": js("note_tweet", [{"noteTweet": about}, about]),
    }
    records = read_bytes(tmp_path / "a", zip_of(files))
    assert [record.row for record in records] == list(range(1, len(entries) + 1))
    for post in posts(records):
        post.canonical()
        assert post.text


@given(st.binary(max_size=300))
@SAME_PATH
def test_any_bytes_are_read_or_refused(tmp_path, data):
    for beginning in (b"window.YTD.tweets.part0 = [", b"window.YTD.tweets.part0 = [{}, {"):
        try:
            records = read_bytes(tmp_path / "a", beginning + data)
        except UnreadableFile:
            continue
        assert [record.row for record in records] == list(range(1, len(records) + 1))
