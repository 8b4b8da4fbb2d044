"""The archive of Mastodon: who may see a post, HTML as people see it, poll, warning, refusal."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest
from archive_files import (
    ACTOR,
    HOST,
    PUBLIC,
    actor,
    folder_of,
    outbox,
    posts,
    read,
    read_bytes,
    reasons,
    status,
    tar_of,
    zip_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.posts import Media
from madang.posts.readers import UnreadableFile, open_reader
from madang.posts.readers.html_text import html_to_text
from madang.posts.reading import Skipped, Written

SAME_PATH = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
FOLLOWERS = f"{ACTOR}/followers"


def one(tmp_path, activity, **about):
    files = {"outbox.json": outbox([activity]), "actor.json": actor(**about)}
    (record,) = read_bytes(tmp_path / "a", gzip.compress(tar_of(files)))
    return record


def test_every_field_of_a_post(tmp_path):
    activity = status(
        7,
        "<p>내일은 <b>여덟 시</b>에 떠납니다 &lt;꼭&gt;</p>",
        summary="배 시간",
        updated="2024-11-10T00:00:00Z",
        inReplyTo="https://other.example/users/bada/statuses/3",
        conversation="tag:village.example,2024:objectId=1:objectType=Conversation",
        quoteUri="https://other.example/users/bada/statuses/4",
        contentMap={"ko": "<p>내일은 <b>여덟 시</b>에 떠납니다 &lt;꼭&gt;</p>"},
        tag=[
            {"type": "Hashtag", "name": "#배"},
            {"type": "Hashtag", "name": "#배"},
            {"type": "Mention", "name": "@bada"},
        ],
        attachment=[
            {"mediaType": "image/png", "url": "/media_attachments/1.png", "name": "시간표"},
            {"mediaType": "video/mp4", "url": "https://files.example/2.mp4", "name": None},
        ],
        likes={"totalItems": 3},
        shares={"totalItems": 0},
    )
    record = one(tmp_path, activity)
    assert isinstance(record, Written)
    post = record.post
    assert post.id == f"{ACTOR}/statuses/7"
    assert post.source == "mastodon"
    assert post.text == "배 시간\n내일은 여덟 시에 떠납니다 <꼭>"
    assert post.sensitive
    assert post.author == "haneul@village.example"
    assert post.author_name == "하늘"
    assert post.created_at == datetime(2024, 11, 9, 12, 14, 18, tzinfo=UTC)
    assert post.edited_at == datetime(2024, 11, 10, tzinfo=UTC)
    assert post.lang == "ko"
    assert post.reply_to == "https://other.example/users/bada/statuses/3"
    assert post.thread == "tag:village.example,2024:objectId=1:objectType=Conversation"
    assert post.quote_of == "https://other.example/users/bada/statuses/4"
    assert post.tags == ("배",)
    assert post.media == (
        Media("image", None, "시간표"),
        Media("video", "https://files.example/2.mp4"),
    )
    assert post.url == f"{HOST}/@haneul/7"
    assert post.metrics == {"likes": 3, "reposts": 0}
    assert post.visibility == "public"
    assert record.own


@pytest.mark.parametrize("public", [PUBLIC, "as:Public", "Public"])
def test_who_may_see_a_post(tmp_path, public):
    shapes = [
        ([public], [FOLLOWERS], "public"),
        (public, [], "public"),
        ([FOLLOWERS], [public], "unlisted"),
        (FOLLOWERS, public, "unlisted"),
    ]
    for to, cc, visibility in shapes:
        assert one(tmp_path, status(1, to=to, cc=cc)).post.visibility == visibility


@pytest.mark.parametrize(
    ("to", "cc"),
    [
        ([FOLLOWERS], ["https://other.example/users/bada"]),
        (["https://other.example/users/bada"], []),
        ([], []),
        (None, None),
        ([[PUBLIC]], {"a": PUBLIC}),
        ("https://evil.example/www.w3.org/ns/activitystreams#Public", []),
    ],
)
def test_what_is_not_for_everyone_is_never_stored(tmp_path, to, cc):
    secret = "너에게만 하는 이야기"
    record = one(tmp_path, status(31337, f"<p>{secret}</p>", to=to, cc=cc, published="soon"))
    assert isinstance(record, Skipped)
    assert record.reason == "private"
    assert secret not in repr(record)
    assert "31337" not in repr(record)


def test_boosts_and_other_activities_are_counted(tmp_path):
    activities = [
        {"type": "Announce", "object": "https://other.example/1", "to": [PUBLIC]},
        {"type": "Delete", "object": "https://other.example/1"},
        {"type": "Create", "object": "https://other.example/1"},
        {"type": "Create", "object": {"type": "Image", "to": [PUBLIC]}},
        {"type": "Like"},
        {},
        None,
        [],
        status(1),
    ]
    records = read_bytes(tmp_path / "a", outbox(activities))
    assert reasons(records) == {"repost": 1, "not_a_post": 5, "malformed": 2}
    assert [record.row for record in records] == list(range(1, 10))
    assert len(posts(records)) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": None}, "invalid_id"),
        ({"id": "1"}, "invalid_id"),
        ({"id": "https://a.example/1 2"}, "invalid_id"),
        ({"published": "soon"}, "invalid_time"),
        ({"content": ""}, "no_text"),
        ({"content": "<p> </p>"}, "no_text"),
        ({"content": 5}, "no_text"),
        ({"content": "가" * 100_001}, "malformed"),
    ],
)
def test_posts_that_are_not_stored(tmp_path, fields, reason):
    activity = status(1)
    activity["object"] |= fields
    assert one(tmp_path, activity).reason == reason


def test_a_poll_keeps_its_options(tmp_path):
    poll = status(
        1,
        "<p>몇 시가 좋아요?</p>",
        type="Question",
        oneOf=[{"name": "여덟 시"}, {"name": "아홉 시"}],
    )
    assert one(tmp_path, poll).post.text == "몇 시가 좋아요?\n- 여덟 시\n- 아홉 시"


def test_authors_without_actor_file(tmp_path):
    def author(**fields):
        activity = status(1)
        activity["object"] |= fields
        return posts(read_bytes(tmp_path / "outbox.json", outbox([activity])))[0].author

    assert author() == "haneul@village.example"
    numbered = f"{HOST}/ap/users/116"
    assert author(attributedTo=numbered) == "haneul@village.example"
    assert author(attributedTo=numbered, url=None) == numbered
    assert author(url=None) == "haneul@village.example"
    assert author(url=None, attributedTo=None) == "haneul@village.example"


@pytest.mark.parametrize(
    ("about", "signals"),
    [
        ({"summary": '<p>바다 <a href="x">#<span>NoAI</span></a></p>'}, {"train": False}),
        ({"summary": "<p>#nobot</p>"}, {"train": False}),
        ({"indexable": False, "discoverable": False}, {}),
        ({"summary": None}, {}),
    ],
)
def test_what_the_profile_refuses(tmp_path, about, signals):
    assert one(tmp_path, status(1), **about).signals == signals


def test_containers_of_an_outbox(tmp_path):
    bare = outbox([status(1), status(2)], indent=2)
    path = tmp_path / "a"
    for data in (bare, gzip.compress(bare), zip_of({"outbox.json": bare})):
        path.write_bytes(data)
        assert open_reader(path).format == "mastodon-archive"
        assert len(posts(read(path))) == 2
    folder = folder_of(tmp_path / "export", {"outbox.json": bare, "actor.json": actor()})
    assert {post.author_name for post in posts(read(folder))} == {"하늘"}
    keys_reversed = json.dumps(dict(reversed(json.loads(bare).items()))).encode()
    assert len(posts(read_bytes(path, keys_reversed))) == 2


def test_two_outboxes_are_refused(tmp_path):
    files = {f"{who}/outbox.json": outbox([status(1)]) for who in "ab"}
    with pytest.raises(UnreadableFile, match="2 outboxes"):
        read_bytes(tmp_path / "a", zip_of(files))


def test_a_damaged_actor_file_does_not_lose_the_posts(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(zip_of({"outbox.json": outbox([status(1)]), "actor.json": b"{"}))
    reader = open_reader(path)
    (post,) = posts(reader)
    assert post.author == "haneul@village.example"
    assert reader.truncated == "a/actor.json is damaged; imported what is whole"


def test_an_outbox_cut_anywhere_gives_what_is_whole(tmp_path):
    data = outbox([status(number) for number in range(1, 5)])
    start = data.index(b"orderedItems") + 20
    path = tmp_path / "outbox.json"
    for cut in range(start, len(data) - 2, 7):
        path.write_bytes(data[:cut])
        reader = open_reader(path)
        records = list(reader)
        whole = posts(records)
        assert reader.truncated == "outbox.json ends early; imported what is whole"
        assert len(records) - len(whole) <= 1
        assert len(whole) == data[:cut].count(b'"tag": []}}')


# HTML.


def shortened(address: str) -> str:
    scheme, rest = address.split("://")
    return (
        f'<a href="{address}"><span class="invisible">{scheme}://</span>'
        f'<span class="ellipsis">{rest[:12]}</span><span class="invisible">{rest[12:]}</span></a>'
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>하나</p><p>둘<br>셋<br/>넷</p>", "하나\n\n둘\n셋\n넷"),
        ("<p>a &amp; b &lt;c&gt; &quot;d&quot; &#39;e&#39;</p>", "a & b <c> \"d\" 'e'"),
        ("<p>a\n  b\t c</p>", "a b c"),
        ("plain", "plain"),
        ("a &amp; b", "a & b"),
        ("", ""),
        (
            f"<p>보세요 {shortened('https://ferry.example/times/2024/11')} 꼭</p>",
            "보세요 https://ferry.example/times/2024/11 꼭",
        ),
        (
            '<a href="https://www.ferry.example/"><span class="invisible">https://www.</span>'
            "<span>ferry.example/</span></a>",
            "https://www.ferry.example/",
        ),
        ('<a href="https://a.example/x">여기</a>', "여기 (https://a.example/x)"),
        ('<a href="https://a.example/x">https://a.example/x</a>', "https://a.example/x"),
        ('<a href="javascript:alert(1)">여기</a>', "여기"),
        ("<a>여기</a>", "여기"),
        (
            '<span class="h-card"><a href="https://o.example/@bada" class="u-url mention">'
            "@<span>bada</span></a></span> 안녕",
            "@bada 안녕",
        ),
        (
            '<a href="https://o.example/tags/b" class="mention hashtag">#<span>배</span></a>',
            "#배",
        ),
        (
            '<p class="quote-inline">RE: <a href="https://o.example/1">o.example/1</a></p><p>네</p>',
            "네",
        ),
        ("<ul><li>하나</li><li>둘</li></ul>", "하나\n\n둘"),
        ("<script>alert(1)</script><style>a{}</style><p>글</p>", "글"),
        ("<p>a<!-- b -->c</p>", "ac"),
        ("<p>", ""),
        ("<blockquote><p>인용</p></blockquote><p>말</p>", "인용\n\n말"),
    ],
)
def test_html_as_people_see_it(html, text):
    assert html_to_text(html) == text


@pytest.mark.parametrize("depth", [2_000, 1_000_000])
def test_html_nested_deeply_is_read(depth):
    assert html_to_text("<ul><li>" * depth + "글 &amp;" + "</li></ul>" * depth) == "글 &"


@given(st.text(st.sampled_from('<>/=" apbrspan&;#x1가\n'), max_size=80) | st.text(max_size=60))
def test_any_html_gives_text(html):
    text = html_to_text(html)
    assert text == text.strip()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(PUBLIC),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "totalItems", "url"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [
    *("id", "type", "content", "contentMap", "summary", "published", "updated", "inReplyTo"),
    *("conversation", "to", "cc", "tag", "attachment", "likes", "url", "attributedTo"),
    *("oneOf", "sensitive", "name", "quote"),
]


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES) | VALUES, max_size=6), VALUES)
@SAME_PATH
def test_every_activity_is_accounted_for(tmp_path, objects, about):
    activities = [
        {**status(1), "object": {**status(1)["object"], **one}} if isinstance(one, dict) else one
        for one in objects
    ]
    files = {"outbox.json": outbox(activities), "actor.json": json.dumps(about).encode()}
    records = read_bytes(tmp_path / "a", zip_of(files))
    assert [record.row for record in records] == list(range(1, len(activities) + 1))
    for post in posts(records):
        post.canonical()
        assert post.text


@given(st.binary(max_size=300))
@SAME_PATH
def test_any_bytes_are_read_or_refused(tmp_path, data):
    for beginning in (b'{"orderedItems": [', outbox([status(1)])[:-2] + b","):
        try:
            records = read_bytes(tmp_path / "a", beginning + data)
        except UnreadableFile:
            continue
        assert [record.row for record in records] == list(range(1, len(records) + 1))
