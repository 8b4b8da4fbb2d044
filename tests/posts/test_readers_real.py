"""Real archives, published by their owners: every row is accounted for."""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from archive_files import posts, read, reasons

from madang.posts.readers import open_reader
from madang.posts.reading import Written

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there")


def test_x():
    reader = open_reader(DATA / "archives" / "x")
    records = list(reader)
    assert reader.format == "x-archive"
    assert reader.truncated is None
    assert len(records) == 1223
    assert reasons(records) == {"repost": 12, "no_text": 48}
    found = posts(records)
    assert {post.author for post in found} == {"alrocar"}
    assert all(record.own for record in records if isinstance(record, Written))
    # Each link is expanded and each long post whole; none keeps X's own encoding.
    assert not any("https://t.co/" in post.text for post in found)
    assert not any(re.search(r"&(amp|lt|gt);", post.text) for post in found)
    assert not any(post.text.endswith("…") for post in found)
    assert sum(len(post.text) > 280 for post in found) > 40
    assert sum(post.reply_to is not None for post in found) > 700


def test_x_without_the_long_posts_beside_it():
    records = read(DATA / "archives" / "x" / "tweets.js")
    assert len(records) == 1223
    assert sum(post.text.endswith("…") for post in posts(records)) > 10


def test_mastodon():
    reader = open_reader(DATA / "archives" / "mastodon")
    records = list(reader)
    assert reader.format == "mastodon-archive"
    assert len(records) == 305
    assert reasons(records) == {"repost": 13, "no_text": 1}
    found = posts(records)
    assert {post.author for post in found} == {"darkpatern@mastodon.social"}
    assert sum(post.visibility == "unlisted" for post in found) == 21
    assert sum(post.edited_at is not None for post in found) > 70
    assert sum(post.quote_of is not None for post in found) == 2
    assert not any("<" in post.text or "&quot;" in post.text for post in found)
    # The files hold links split into three spans; none may come out shortened.
    links = [link for post in found for link in re.findall(r"https?://\S+", post.text)]
    assert len(links) > 80
    assert not any("…" in link for link in links)


def test_csv():
    columns = {"id": "tweet_id", "author": "author_id", "reply_to": "in_response_to_tweet_id"}
    records = read(DATA / "archives" / "csv" / "twcs.csv", source="support", columns=columns)
    # 5,001 lines as the csv module counts them: one post has a carriage return in its text.
    found = posts(records)
    assert len(records) == len(found) == 5000
    assert len({post.id for post in found}) == 5000
    assert sum(post.reply_to is not None for post in found) == 3694
    known = {post.id for post in found}
    assert sum(post.reply_to in known for post in found if post.reply_to) == 3688
    (broken,) = [post for post in found if post.id == "support:3399"]
    assert broken.text.startswith("@AskPayPal \n\nI just love the start of email")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("en", 115_174), ("ko", 36_478)])
def test_posts(name, count):
    reader = open_reader(DATA / "posts" / f"{name}.jsonl.gz")
    written = sum(isinstance(record, Written) for record in reader)
    assert written == count
    assert reader.truncated is None
    assert reader.progress[0] == reader.progress[1]


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "cut zip", "cut tar.gz"])
def test_real_archives_packed_and_cut(tmp_path, kind):
    path = tmp_path / "archive"
    for folder, inside in (("x", "data/"), ("mastodon", "")):
        files = sorted((DATA / "archives" / folder).glob("*.js*"))
        if "zip" in kind:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in files:
                    archive.write(file, inside + file.name)
        else:
            with tarfile.open(path, "w:gz") as archive:
                for file in files:
                    archive.add(file, inside + file.name)
        whole = posts(read(DATA / "archives" / folder))
        if "cut" in kind:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) * 7 // 10])
        reader = open_reader(path)
        found = posts(reader)
        assert [post.id for post in found] == [post.id for post in whole[: len(found)]]
        if "cut" in kind:
            assert reader.truncated is not None
            assert len(whole) // 3 < len(found) < len(whole)
        else:
            assert reader.truncated is None
            assert found == whole


def test_a_real_file_cut_in_its_middle(tmp_path):
    data = (DATA / "posts" / "ko.jsonl.gz").read_bytes()
    path = tmp_path / "ko.jsonl.gz"
    path.write_bytes(data[: len(data) // 2])
    reader = open_reader(path)
    records = list(reader)
    assert reader.truncated == "ko.jsonl.gz ends early; imported what is whole"
    assert 10_000 < len(posts(records)) < 30_000
    assert sum(reasons(records).values()) <= 1
    assert gzip.decompress(data).startswith(b'{"id"')
