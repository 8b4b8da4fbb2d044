from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="needs the extra `train`")

from token_corpora import TOKENIZER

from madang.corpus.text_files import corpus_from_text, documents_from_text

SHARED = Path(__file__).parents[3] / "shared" / "data"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "documents.parquet").to_pylist()
    return rows


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "가나다", "\n", "\n\n", " \n\n", "\r\n", "word ", "\n \n\n"])),
    st.integers(1, 30),
)
def test_the_pieces_of_a_plain_text_are_the_text(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], most: int
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    text = "".join(pieces)
    path = folder / "book.txt"
    path.write_bytes(text.encode())
    if not text.strip():
        with pytest.raises(ValueError, match=r"there is no text in .*book\.txt"):
            documents_from_text([path], folder, document_characters=most)
        return
    rows = rows_of(documents_from_text([path], folder, document_characters=most))
    texts = [text for row in rows for text in row["texts"]]
    assert "".join(texts) == text
    for piece in texts:
        # Longer than asked for only where there is no blank line to cut at.
        assert len(piece) <= most or "\n\n" not in piece.strip()


def test_a_plain_text_is_cut_after_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n\ntwo\n \n\nthree three three\n\nfour", "utf-8")
    rows = rows_of(documents_from_text([path], tmp_path, document_characters=10))
    assert [row["texts"] for row in rows] == [
        ["one\n\n"],
        ["two\n \n\n"],
        ["three three three\n\n"],
        ["four"],
    ]
    assert [row["document"] for row in rows] == [f"file:a.txt#00000{n}" for n in range(4)]
    assert {row["split"] for row in rows} == {"train"}


def test_posts_become_threads(tmp_path: Path) -> None:
    day = "2026-01-0{}T00:00:00Z"
    path = write_rows(
        tmp_path / "posts.jsonl",
        {"id": "c", "text": "third", "reply_to": "b", "created_at": day.format(3), "lang": "en"},
        {"id": "a", "text": "first", "created_at": day.format(1), "lang": "en"},
        {"id": "b", "text": "second", "reply_to": "a", "created_at": day.format(2), "lang": "en"},
        {"id": "d", "text": "alone", "reply_to": "gone", "lang": "en"},
        {"id": "e", "text": "named", "thread": "t", "lang": "ko"},
        {"id": "f", "text": " ", "thread": "empty"},
        {"text": "without an id"},
    )
    rows = {row["document"]: row for row in rows_of(documents_from_text([path], tmp_path))}
    assert set(rows) == {"a", "d", "t", "file:posts.jsonl#7"}
    assert rows["a"]["posts"] == ["a", "b", "c"]
    assert rows["a"]["texts"] == ["first", "second", "third"]
    assert rows["a"]["depth"] == 3
    assert rows["a"]["time"].isoformat() == "2026-01-03T00:00:00+00:00"
    assert rows["d"]["time"] is None
    assert rows["t"]["language"] == "ko"


def test_posts_that_answer_in_a_circle_are_one_thread(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "posts.jsonl",
        {"id": "b", "text": "1", "reply_to": "a"},
        {"id": "a", "text": "2", "reply_to": "b"},
        {"id": "c", "text": "3", "reply_to": "b"},
        {"id": "self", "text": "4", "reply_to": "self"},
    )
    rows = rows_of(documents_from_text([path], tmp_path))
    assert [(row["document"], sorted(row["posts"])) for row in rows] == [
        ("a", ["a", "b", "c"]),
        ("self", ["self"]),
    ]


def test_the_newest_share_is_the_future_and_undated_posts_never_are(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "posts.jsonl",
        *(
            {"id": f"p{n:03d}", "text": "t", "created_at": f"2026-01-01T00:00:00.{n:06d}Z"}
            for n in range(100)
        ),
        *({"id": f"undated{n}", "text": "t"} for n in range(100)),
        {"id": "late", "text": "t", "reply_to": "p000", "created_at": "2027-01-01T00:00:00Z"},
    )
    rows = rows_of(documents_from_text([path], tmp_path, future_share=0.05))
    future = [row["document"] for row in rows if row["split"] == "future"]
    assert future == ["p096", "p097", "p098", "p099"]
    assert "late" not in {post for row in rows for post in row["posts"]}
    with pytest.raises(ValueError, match="it must lie in"):
        documents_from_text([path], tmp_path, future_share=1)


def test_the_same_files_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    posts = write_rows(tmp_path / "posts.jsonl", {"id": "a", "text": "one"})
    plain = tmp_path / "b.txt"
    plain.write_text("two", "utf-8")
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"id": "c", "text": "three"}\n'))
    files = [posts, plain, packed]
    one = documents_from_text(files, tmp_path / "1")
    two = documents_from_text(files[::-1], tmp_path / "2")
    assert one.name == two.name
    for name in ("documents.parquet", "manifest.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert documents_from_text(files, tmp_path / "1") == one
    plain.write_text("two!", "utf-8")
    assert documents_from_text(files, tmp_path / "1") != one


def test_a_corpus_is_made_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("가나다\n\n라마바", "utf-8")
    corpus = corpus_from_text([path], tmp_path, TOKENIZER)
    assert corpus.train_bytes == len(path.read_bytes())
    assert TOKENIZER.decode(corpus.tokens_of(0)) == "<|post|>가나다\n\n라마바<|endoftext|>"


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.txt", b"good\nb\xff\xfe\n", "row 2 is not UTF-8"),
        ("a.jsonl", b'{"text": "x"}\n{"text": 1}\n', "row 2 is no post .it has no text"),
        ("a.jsonl", b'{"text": "x"}\n\n[1]\n', "row 3 is no post"),
        ("a.jsonl", b"{", "row 1 is no post"),
        ("a.jsonl", b'{"text": "x", "created_at": "soon"}', "row 1 is no post .*soon"),
        ("a.jsonl", b'{"text": "x", "created_at": 5}', "row 1 is no post"),
        ("a.jsonl", b'{"text": "\xff"}', "row 1 is not UTF-8"),
        ("a.jsonl.gz", b"no gzip at all", "cannot be read"),
        ("a.jsonl", b"", "there is no text"),
        ("a.txt", b" \n\n ", "there is no text"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, data: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=what) as error:
        documents_from_text([tmp_path / name], tmp_path / "out")
    assert name in str(error.value)
    assert not list(tmp_path.glob("out/*"))


def test_a_file_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing\.txt cannot be read"):
        documents_from_text([tmp_path / "missing.txt"], tmp_path)
    with pytest.raises(ValueError, match="there is no text in no file"):
        documents_from_text([], tmp_path)


def test_real_text_is_cut_without_loss(tmp_path: Path) -> None:
    files = [SHARED / "text" / "tinyshakespeare" / "input.txt"]
    if not files[0].exists():
        pytest.skip("the shared data is not here")
    rows = rows_of(documents_from_text(files, tmp_path, document_characters=8192))
    assert "".join(row["texts"][0] for row in rows) == files[0].read_text("utf-8")
    assert max(len(row["texts"][0]) for row in rows) <= 8192
