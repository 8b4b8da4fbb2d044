"""Speed of search: terms, the indexing pass, one new post, queries; peers beside the queries.

python bench/search_speed.py [--queries 1000] [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from madang.posts import FILE_GRANT, Grant, Post, PostLog, Write
from madang.posts.ingest import ingest
from madang.search import LexicalIndex
from madang.text import detect_language, terms
from measuring import in_fresh_process, machine, percentile, post_files, spread, table
from search_recall import PEERS, bm25s, fts5


def main() -> None:
    """Print the tables, or one run for a parent process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(run(arguments.queries)))
        return
    command = (__file__, "--once", "--queries", str(arguments.queries))
    runs = [json.loads(in_fresh_process(*command)) for _ in range(arguments.runs)]
    print(f"{runs[0]['posts']:,} posts; {machine(['tantivy', 'PyStemmer'])}\n")
    figures = ("terms of all posts, posts/s", "indexing pass, posts/s", "of these, CPU posts/s")
    figures += ("one new post searchable, ms, p50", "peak memory, MB")
    lines = [(name, spread([run[name] for run in runs], 1)) for name in figures]
    print(table(("what", "median (range)"), lines), end="\n\n")
    lines = []
    for peer in runs[0]["queries"]:
        row = [peer]
        for lang in ("en", "ko"):
            for share in (0.5, 0.95, 0.99):
                row.append(
                    spread([percentile(run["queries"][peer][lang], share) for run in runs], 2)
                )
        lines.append(row)
    names = [f"{lang} p{share}, ms" for lang in ("en", "ko") for share in (50, 95, 99)]
    print("Ten posts with text and, for madang, filters of consent and highlights:\n")
    print(table(("what", *names), lines))


def run(number: int) -> dict[str, object]:
    """Measure once, in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = PostLog(folder / "posts.db")
        for path in post_files():
            ingest(log, path, rejects=folder)
        started, cpu = time.perf_counter(), time.process_time()
        index = LexicalIndex(folder / "index", log)
        count = index.follow()
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        posts = _posts(log)
        started = time.perf_counter()
        for post in posts:
            terms(post.text)
        tokenizing = time.perf_counter() - started
        fresh = _new_posts(log, index)
        asked = {lang: _questions(posts, lang, number) for lang in ("en", "ko")}
        return {
            "posts": count,
            "terms of all posts, posts/s": count / tokenizing,
            "indexing pass, posts/s": count / wall,
            "of these, CPU posts/s": count / cpu,
            "one new post searchable, ms, p50": percentile(fresh, 0.5),
            "peak memory, MB": peak,
            "queries": {
                "madang": {lang: timed(index.search, asked[lang]) for lang in asked},
                **_peers(posts, folder, asked),
            },
        }


def _posts(log: PostLog) -> list[Post]:
    posts: list[Post] = []
    after = 0
    while batch := log.scan(after, limit=5000):
        posts += [stored.post for stored in batch]
        after = batch[-1].key
    return posts


def _new_posts(log: PostLog, index: LexicalIndex) -> list[float]:
    grant = log.grant(Grant("operator", "benchmark", FILE_GRANT))
    times = []
    for n in range(30):
        log.append([Write(Post(f"new:{n}", "new", "one more post of the harbour"), grant)])
        started = time.perf_counter()
        index.follow()
        times.append((time.perf_counter() - started) * 1000)
    return times


def _questions(posts: Sequence[Post], lang: str, number: int) -> list[str]:
    """Return runs of two to five words that stand in posts of a language."""
    chance = random.Random(11)
    texts = [post.text for post in posts if detect_language(post.text, post.lang) == lang]
    questions = []
    while len(questions) < number:
        words = [word for word in chance.choice(texts).split() if word.isalnum()]
        if words:
            start = chance.randrange(len(words))
            questions.append(" ".join(words[start : start + chance.randint(2, 5)]))
    return questions


def timed(search: Callable[[str], object], questions: Sequence[str]) -> list[float]:
    """Return the milliseconds of each question, after a tenth of them to warm up."""
    for question in questions[: len(questions) // 10]:
        search(question)
    times = []
    for question in questions:
        started = time.perf_counter()
        search(question)
        times.append((time.perf_counter() - started) * 1000)
    return times


def _peers(
    posts: Sequence[Post], folder: Path, asked: dict[str, list[str]]
) -> dict[str, dict[str, list[float]]]:
    """Time peers over the same posts: each language by its own index, as in the recall."""
    times: dict[str, dict[str, list[float]]] = {}
    for name, build in PEERS.items():
        if build not in (bm25s, fts5):
            continue
        for lang, questions in asked.items():
            mine = [post for post in posts if (post.lang == "ko") == (lang == "ko")]
            here = folder / f"{build.__name__}-{lang}"
            here.mkdir()
            search = build(mine, here, lang == "ko")
            if search is not None:
                times.setdefault(name, {})[lang] = timed(search, questions)
    return times


if __name__ == "__main__":
    main()
