"""Recall of questions whose post is known: TweetQA over English posts, KorQuAD over its passages.

python bench/search_recall.py

bm25s and SQLite FTS5 stand beside it over the same texts, the author's name and handle included;
bm25s is left out where it is not installed. Ranking was tuned on the questions whose CRC-32 is
even; the table gives all of them and, in the last column, the other half.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from madang.posts import FILE_GRANT, Grant, Post, PostLog, Write
from madang.search import LexicalIndex
from madang.text import stop_words
from measuring import SHARED, machine, table

DEPTHS = (1, 5, 10)
Search = Callable[[str], Sequence[str]]
Question = tuple[str, str]


def main() -> None:
    """Print one table for each set of questions."""
    sets = {"TweetQA, English posts": tweetqa, "KorQuAD, Korean passages": korquad}
    if not SHARED.exists():
        print("not measured: the questions and their posts are absent")
        return
    print(f"{machine(['tantivy', 'PyStemmer'])}\n")
    for name, read in sets.items():
        posts, questions = read()
        korean = read is korquad
        lines = []
        for peer, build in PEERS.items():
            with tempfile.TemporaryDirectory() as folder:
                search = build(posts, Path(folder), korean)
                if search is not None:
                    print(f"{name}: {peer}", file=sys.stderr, flush=True)
                    lines.append((peer, *recall(search, questions)))
        print(f"{name}: {len(questions):,} questions over {len(posts):,} posts\n")
        header = ["what", *(f"recall at {depth}" for depth in DEPTHS), "at 1, other half"]
        print(table(header, lines), end="\n\n")


def recall(search: Search, questions: Sequence[Question]) -> list[str]:
    """Return the share of questions whose post is among the first 1, 5 and 10."""
    found = [0] * len(DEPTHS)
    unseen = unseen_found = 0
    for question, post in questions:
        ids = list(search(question))
        for n, depth in enumerate(DEPTHS):
            found[n] += post in ids[:depth]
        if zlib.crc32(question.encode()) % 2:
            unseen += 1
            unseen_found += post in ids[:1]
    shares = [count / len(questions) for count in found] + [unseen_found / unseen]
    return [f"{share:.3f}" for share in shares]


def tweetqa() -> tuple[list[Post], list[Question]]:
    """Return the English posts and the questions about 10,692 of them."""
    with gzip.open(SHARED / "posts" / "en.jsonl.gz") as file:
        posts = [_post(json.loads(line)) for line in file]
    with gzip.open(SHARED / "qa" / "tweetqa-train.jsonl.gz") as file:
        rows = [json.loads(line) for line in file]
    return posts, [(row["question"], row["post"]) for row in rows]


def _post(row: dict[str, str]) -> Post:
    fields = ("id", "source", "text", "author", "author_name", "lang")
    return Post(**{name: row[name] for name in fields if name in row})


def korquad() -> tuple[list[Post], list[Question]]:
    """Return the passages as posts, and their questions."""
    path = SHARED / "qa" / "korquad1-dev" / "KorQuAD_v1.0_dev.json"
    articles = json.loads(path.read_bytes())["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    posts = []
    questions = []
    for number, paragraph in enumerate(paragraphs):
        posts.append(Post(f"q:{number}", "korquad", paragraph["context"], lang="ko"))
        questions += [(one["question"], f"q:{number}") for one in paragraph["qas"]]
    return posts, questions


def madang(posts: Sequence[Post], folder: Path, korean: bool) -> Search:
    """Write the posts to a log and follow it."""
    log = PostLog(folder / "posts.db")
    grant = log.grant(Grant("operator", "benchmark", FILE_GRANT))
    for start in range(0, len(posts), 2000):
        log.append([Write(post, grant) for post in posts[start : start + 2000]])
    index = LexicalIndex(folder / "index", log)
    index.follow()
    return lambda question: [hit.post.id for hit in index.search(_plain(question))]


def _plain(question: str) -> str:
    """Quotation marks in these questions are no search for a phrase."""
    return re.sub(r'["“”„«»「」『』]', " ", question)


def bm25s(posts: Sequence[Post], folder: Path, korean: bool) -> Search | None:
    """Lucene's BM25, k1 1.5, b 0.75; English words stemmed, Korean as pairs of characters."""
    try:
        import bm25s as peer
        import Stemmer
    except ImportError:
        return None
    texts = [peer_text(post, korean) for post in posts]
    options = {"token_pattern": r"(?u)\S+", "stopwords": []} if korean else {
        "stopwords": "en",
        "stemmer": Stemmer.Stemmer("english"),
    }  # fmt: skip
    index = peer.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(peer.tokenize(texts, show_progress=False, **options), show_progress=False)

    def search(question: str) -> list[str]:
        text = " ".join(pairs(question)) if korean else question
        query = peer.tokenize(text, show_progress=False, **options)
        found, _ = index.retrieve(query, k=max(DEPTHS), show_progress=False, n_threads=1)
        return [posts[number].id for number in found[0]]

    return search


def fts5(posts: Sequence[Post], folder: Path, korean: bool) -> Search:
    """SQLite's own full-text search; English with its Porter stemmer, Korean as pairs.

    Stop words are left out of its questions, without which it is ten times as slow.
    """
    database = sqlite3.connect(folder / "fts.db")
    tokenizer = "unicode61" if korean else "porter unicode61"
    database.execute(f"CREATE VIRTUAL TABLE posts USING fts5(text, tokenize = '{tokenizer}')")
    rows = ((number, peer_text(post, korean)) for number, post in enumerate(posts))
    database.executemany("INSERT INTO posts (rowid, text) VALUES (?, ?)", rows)

    def search(question: str) -> list[str]:
        words = pairs(question) if korean else re.findall(r"\w+", question.lower())
        words = [word for word in words if word not in stop_words.ENGLISH] or words
        query = " OR ".join(f'"{word}"' for word in dict.fromkeys(words))
        found = database.execute(
            "SELECT rowid FROM posts WHERE posts MATCH ? ORDER BY bm25(posts) LIMIT ?",
            (query, max(DEPTHS)),
        )
        return [posts[number].id for (number,) in found]

    return search


def peer_text(post: Post, korean: bool) -> str:
    """Return what peers index: the text, the author's name and handle."""
    text = f"{post.text} {post.author_name or ''} {post.author or ''}"
    return " ".join(pairs(text)) if korean else text


def pairs(text: str) -> list[str]:
    """Return words as overlapping pairs of characters, the usual way to index Korean."""
    return list(_pairs(text))


def _pairs(text: str) -> Iterator[str]:
    for word in re.findall(r"\w+", text.lower()):
        if len(word) == 1 or word.isascii():
            yield word
        else:
            yield from (word[i : i + 2] for i in range(len(word) - 1))


PEERS: dict[str, Callable[[Sequence[Post], Path, bool], Search | None]] = {
    "madang": madang,
    "bm25s": bm25s,
    "SQLite FTS5": fts5,
}

if __name__ == "__main__":
    main()
