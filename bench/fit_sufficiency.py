"""Fit the weights of madang.answer.sufficiency.

    python bench/fit_sufficiency.py [--questions 100] [--seed 1]

Logistic regression with L2 on the features of the best candidate, by gradient descent. Rows come
from the sample's open questions, from bench/town-development.jsonl and town-paraphrased.jsonl, and,
where it is present, from TweetQA (CC BY-SA) with the post of every other question withheld. A row
is positive where the question can be answered and one of the two best candidates is right. Each
source counts by its share and each class of a source the same. The sample's held questions are
never read here, nor is KorQuAD, whose licence allows no derived weights.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from collections import Counter
from pathlib import Path

from answers_baseline import tweetqa, without
from madang.answer import CommunityPosts
from madang.answer.evidence import gather
from madang.answer.question import analyse
from madang.answer.sufficiency import THRESHOLD, features
from madang.home import Home
from measuring import ROOT, SAMPLE, SHARED

SHARES = {"town": 8.0, "TweetQA": 1.0}
L2 = 0.002
STEPS = 700
RATE = 1.0

Row = tuple[str, dict[str, float], bool, bool]


def main() -> None:
    """Print the weights, and what they decide on the rows that they were fitted on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=100, help="of each other source")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rows = _town()
    if SHARED.exists():
        rows += _others(given.questions, random.Random(given.seed))
    weights = fit(rows)
    print(json.dumps({name: round(weight, 2) for name, weight in weights.items()}, indent=4))
    for source in SHARES:
        there = [row for row in rows if row[0] == source and row[2]]
        gone = [row for row in rows if row[0] == source and not row[2]]
        right = sum(likely(row[1], weights) >= THRESHOLD and row[3] for row in there)
        declined = sum(likely(row[1], weights) < THRESHOLD for row in gone)
        if there and gone:
            print(f"{source}: right {right}/{len(there)}, declined {declined}/{len(gone)}")


def likely(found: dict[str, float], weights: dict[str, float]) -> float:
    """Return the probability that the weights give to a row."""
    return 1 / (1 + math.exp(-sum(weights[name] * value for name, value in found.items())))


def fit(rows: list[Row]) -> dict[str, float]:
    """Return the weights with the least regularized log loss."""
    positive = [can and right for _, _, can, right in rows]
    counts = Counter((row[0], good) for row, good in zip(rows, positive, strict=True))
    importance = [
        SHARES[row[0]] / counts[row[0], good] for row, good in zip(rows, positive, strict=True)
    ]
    weights = dict.fromkeys(rows[0][1], 0.0)
    for _ in range(STEPS):
        gradient = dict.fromkeys(weights, 0.0)
        for row, good, counted in zip(rows, positive, importance, strict=True):
            error = likely(row[1], weights) - good
            for name, value in row[1].items():
                gradient[name] += counted * error * value / sum(importance)
        for name in weights:
            decay = 0.0 if name == "bias" else L2 * weights[name]
            weights[name] -= RATE * (gradient[name] + decay)
    return weights


def _town() -> list[Row]:
    paths = (
        SAMPLE / "questions-open.jsonl",
        ROOT / "bench" / "town-development.jsonl",
        ROOT / "bench" / "town-paraphrased.jsonl",
    )
    asked = [json.loads(line) for path in paths for line in path.open("rb")]
    with tempfile.TemporaryDirectory() as folder, Home(folder) as home:
        home.ingest(SAMPLE / "posts.jsonl", grant="search,ground,embed", basis="a benchmark")
        return _rows("town", [(one["question"], one["posts"]) for one in asked], home)


def _others(count: int, chosen: random.Random) -> list[Row]:
    asked = chosen.sample(tweetqa(), 2 * count)
    withheld = {one["post"] for one in asked[::2]}
    with tempfile.TemporaryDirectory() as folder, Home(Path(folder) / "home") as home:
        home.ingest(without(folder, withheld))
        known = [(o["question"], [] if o["post"] in withheld else [o["post"]]) for o in asked]
        return _rows("TweetQA", known, home)


def _rows(source: str, asked: list[tuple[str, list[str]]], home: Home) -> list[Row]:
    posts = CommunityPosts(home.log, home.index)
    rows: list[Row] = []
    for text, right in asked:
        question = analyse(text)
        evidence = gather(posts, question)
        if evidence.candidates:
            best = evidence.candidates[:2]
            found = {post.id for one in best for post in (one.post, *one.folded)}
            known = features(question, evidence, best[0])
            rows.append((source, known, bool(right), bool(found & set(right))))
    return rows


if __name__ == "__main__":
    main()
