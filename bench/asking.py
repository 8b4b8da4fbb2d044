"""From a question to its sources, and to the first quoted sentence.

    python bench/asking.py [--questions 300]

The home holds all posts. Each question is asked once, in a process that has answered a few
before; the model plays no part in either time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
import time

from madang.answer import Answerer, CommunityPosts, ExtractReady, Request, SourcesFound
from madang.home import Home
from measuring import SAMPLE, SHARED, machine, percentile, post_files, rows, table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=300)
    count = parser.parse_args().questions
    with tempfile.TemporaryDirectory() as folder, Home(folder) as home:
        for path in post_files():
            home.ingest(path)
        answerer = Answerer(CommunityPosts(home.log, home.index))
        lines = []
        for name, questions in _questions(count).items():
            for question in questions[:10]:
                answerer.answer(Request(question))
            sources, quotes = [], []
            for question in questions:
                started = time.perf_counter()
                for step in answerer.steps(Request(question)):
                    took = (time.perf_counter() - started) * 1000
                    if isinstance(step, SourcesFound):
                        sources.append(took)
                    elif isinstance(step, ExtractReady):
                        quotes.append(took)
                        break
            lines += [
                _line(f"{name}: sources", sources),
                _line(f"{name}: first quoted sentence", quotes),
            ]
    print(f"{rows(post_files()):,} posts; {machine(['tantivy', 'PyStemmer'])}\n")
    print(table(("ms", "p50", "p95", "max", "questions"), lines))


def _questions(count: int) -> dict[str, list[str]]:
    chosen = random.Random(1)
    if not SHARED.exists():
        found = [json.loads(line) for line in (SAMPLE / "questions-open.jsonl").open("rb")]
        return {
            "Korean": [one["question"] for one in found if one["lang"] == "ko"],
            "English": [one["question"] for one in found if one["lang"] == "en"],
        }
    with gzip.open(SHARED / "qa" / "tweetqa-train.jsonl.gz") as file:
        english = [json.loads(line)["question"] for line in file]
    korquad = json.loads((SHARED / "qa" / "korquad1-dev" / "KorQuAD_v1.0_dev.json").read_bytes())
    korean = [
        question["question"]
        for article in korquad["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    return {
        "English (TweetQA)": chosen.sample(english, count),
        "Korean (KorQuAD)": chosen.sample(korean, count),
    }


def _line(name: str, values: list[float]) -> tuple[str, ...]:
    if not values:
        return (name, "–", "–", "–", "0")
    figures = (percentile(values, 0.5), percentile(values, 0.95), max(values))
    return (name, *(f"{figure:,.1f}" for figure in figures), f"{len(values):,}")


if __name__ == "__main__":
    main()
