"""Questions of TweetQA and KorQuAD, half of them with their post withheld: the baseline.

    python bench/answers_baseline.py [--questions 500] [--seed 1] [--engine none|default]

The home holds all English posts, and KorQuAD's passages as posts, but for those that are withheld.
F1 and exact match compare what is quoted with the short answers that people gave, after SQuAD;
a quote is longer than such an answer, so `contains` says whether the answer stands in it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from madang.answer import Answer, Answerer, CommunityPosts, Request
from madang.engines import Engine, open_engine
from madang.home import Home
from madang.text import fold
from measuring import SHARED, machine, percentile, table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("none", "default"), default="none")
    given = parser.parse_args()
    if not SHARED.exists():
        print("the real posts are absent; nothing measured", file=sys.stderr)
        return
    chosen = random.Random(given.seed)
    asked = {
        "TweetQA": chosen.sample(tweetqa(), given.questions // 2),
        "KorQuAD": chosen.sample(korquad()[0], given.questions // 2),
    }
    withheld = {one["post"] for ones in asked.values() for one in ones[::2]}
    engine: Engine | None = open_engine() if given.engine == "default" else None
    with tempfile.TemporaryDirectory() as folder, Home(Path(folder) / "home") as home:
        home.ingest(without(folder, withheld))
        answerer = Answerer(CommunityPosts(home.log, home.index), engine)
        answerer.answer(Request("warm up"))
        lines = [_line(name, ones, withheld, answerer) for name, ones in asked.items()]
    if engine is not None:
        engine.close()
    print(f"seed {given.seed}; {machine(['tantivy', 'PyStemmer'])}\n")
    header = (
        "",
        "right post cited",
        "contains",
        "F1",
        "EM",
        "wrongly declined",
        "declined",
        "p50 ms",
        "p95 ms",
    )
    print(table(header, lines))


def tweetqa() -> list[dict[str, Any]]:
    """Return the questions of TweetQA: question, answers, post."""
    with gzip.open(SHARED / "qa" / "tweetqa-train.jsonl.gz") as file:
        return [json.loads(line) for line in file]


def korquad() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return KorQuAD's questions, and its passages by the id of the post that each becomes."""
    (path,) = (SHARED / "qa" / "korquad1-dev").glob("*.json")
    questions: list[dict[str, Any]] = []
    passages: dict[str, str] = {}
    for number, article in enumerate(json.loads(path.read_text("utf-8"))["data"]):
        for place, paragraph in enumerate(article["paragraphs"]):
            post = f"korquad:{number}-{place}"
            passages[post] = paragraph["context"]
            questions += [
                {
                    "question": one["question"],
                    "answers": [answer["text"] for answer in one["answers"]],
                    "post": post,
                }
                for one in paragraph["qas"]
            ]
    return questions, passages


def without(folder: str, withheld: set[str]) -> Path:
    """Write the posts but for the withheld ones to a file in `folder`; returns its path."""
    path = Path(folder) / "posts.jsonl"
    with path.open("w", encoding="utf-8") as out:
        with gzip.open(SHARED / "posts" / "en.jsonl.gz", "rt", encoding="utf-8") as file:
            out.writelines(line for line in file if json.loads(line)["id"] not in withheld)
        for post, text in korquad()[1].items():
            if post not in withheld:
                row = {"id": post, "source": "korquad", "text": text, "lang": "ko"}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def _line(
    name: str, ones: list[dict[str, Any]], withheld: set[str], answerer: Answerer
) -> tuple[str, ...]:
    there, gone, took = [], [], []
    for one in ones:
        answer = answerer.answer(Request(one["question"]))
        took.append(answer.took_ms["total"])
        (gone if one["post"] in withheld else there).append((one, answer))
    cited = [_cites(answer, one["post"]) for one, answer in there]
    return (
        f"{name}, {len(there)} with and {len(gone)} without their post",
        _mean(cited),
        _mean([_contains(answer.text, one["answers"]) for one, answer in there]),
        _mean([f1(answer.text, one["answers"]) for one, answer in there]),
        _mean([exact(answer.text, one["answers"]) for one, answer in there]),
        _mean([answer.abstained for _, answer in there]),
        _mean([answer.abstained for _, answer in gone]),
        f"{percentile(took, 0.5):.0f}",
        f"{percentile(took, 0.95):.0f}",
    )


def _cites(answer: Answer, post: str) -> bool:
    return any(c.post == post for sentence in answer.sentences for c in sentence.citations)


def normal(text: str) -> list[str]:
    """Return the words of an answer as SQuAD compares them."""
    return [w for w in re.sub(r"[^\w\s]", " ", fold(text)).split() if w not in ("a", "an", "the")]


def f1(said: str, answers: list[str]) -> float:
    """Return the best word F1 of what was said with any of the answers."""
    best = 0.0
    for answer in answers:
        one, other = normal(said), normal(answer)
        common = sum((Counter(one) & Counter(other)).values())
        if common:
            precision, recall = common / len(one), common / len(other)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def exact(said: str, answers: list[str]) -> bool:
    """Return whether what was said is one of the answers."""
    return any(normal(said) == normal(answer) for answer in answers)


def _contains(said: str, answers: list[str]) -> bool:
    plain = "".join(normal(said))
    return any("".join(normal(answer)) in plain for answer in answers if normal(answer))


def _mean(values: list[bool] | list[float]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "–"


if __name__ == "__main__":
    main()
