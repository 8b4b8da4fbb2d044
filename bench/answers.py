"""Answers to questions whose right posts are known.

    python bench/answers.py --questions samples/town/questions-open.jsonl \
        --posts samples/town/posts.jsonl [--engine none|default] [--show]

A line of the questions is `{"id", "lang", "question", "answers", "posts", "overtaken"}`: `posts`
answer it (none: it cannot be answered), `overtaken` did so before a later post.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from madang.answer import Answer, Answerer, CommunityPosts, Request
from madang.engines import Engine, open_engine
from madang.home import Home
from measuring import machine, percentile, table

Judged = tuple[dict[str, Any], Answer]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--posts", type=Path, required=True)
    parser.add_argument("--engine", choices=("none", "default"), default="none")
    parser.add_argument("--show", action="store_true", help="print what went wrong, one by one")
    given = parser.parse_args()
    questions = [json.loads(line) for line in given.questions.open("rb")]
    engine: Engine | None = open_engine() if given.engine == "default" else None
    with tempfile.TemporaryDirectory() as folder, Home(folder) as home:
        home.ingest(given.posts, grant="search,ground,embed", basis="a benchmark")
        answerer = Answerer(CommunityPosts(home.log, home.index), engine)
        judged = [(one, answerer.answer(Request(one["question"]))) for one in questions]
        invented = sum(_invented(answer, home) for _, answer in judged)
    if engine is not None:
        engine.close()
    print(f"{len(questions)} questions; {machine(['tantivy', 'PyStemmer'])}\n")
    print(table(("", "Korean", "English", "all"), _quality(judged)))
    print(f"\ninvented citations: {invented}\n")
    print(table(("ms", "p50", "p95", "max"), _times(judged)))
    if given.show:
        for one, answer in judged:
            problem = _problem(one, answer)
            if problem:
                print(f"{problem}: {one['id']} {one['question']} -> {answer.text[:160]!r}")


def cited(answer: Answer) -> list[str]:
    """Return the posts that an answer cites, in order."""
    posts = [c.post for sentence in answer.sentences for c in sentence.citations]
    return list(dict.fromkeys(posts))


def _problem(one: dict[str, Any], answer: Answer) -> str:
    if not one["answers"]:
        return "" if answer.abstained else "should decline"
    if answer.abstained:
        return "wrongly declined"
    if not set(cited(answer)) & set(one["posts"]):
        return "wrong post"
    if one["overtaken"] and cited(answer)[0] in one["overtaken"]:
        return "overtaken post first"
    return ""


def _quality(judged: list[Judged]) -> list[tuple[str, ...]]:
    rows: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for one, answer in judged:
        for lang in (one["lang"], "all"):
            if not one["answers"]:
                rows["declined, of those that cannot be answered"][lang].append(answer.abstained)
                continue
            right = bool(set(cited(answer)) & set(one["posts"]))
            rows["right post cited, of the answerable"][lang].append(right)
            rows["right post cited first"][lang].append(
                cited(answer)[:1] != [] and cited(answer)[0] in one["posts"]
            )
            rows["wrongly declined, of the answerable"][lang].append(answer.abstained)
            if one["overtaken"]:
                newer = right and cited(answer)[0] not in one["overtaken"]
                rows["newer post wins, of the overtaken"][lang].append(newer)
    return [
        (name, *(_share(by[lang]) for lang in ("ko", "en", "all"))) for name, by in rows.items()
    ]


def _share(values: list[bool]) -> str:
    if not values:
        return "–"
    return f"{sum(values)}/{len(values)} ({sum(values) / len(values):.0%})"


def _times(judged: list[Judged]) -> list[tuple[str, ...]]:
    lines = []
    for stage in ("search", "extract", "draft", "check", "total"):
        took = [answer.took_ms[stage] for _, answer in judged]
        lines.append(
            (
                stage,
                f"{percentile(took, 0.5):.1f}",
                f"{percentile(took, 0.95):.1f}",
                f"{max(took):.1f}",
            )
        )
    return lines


def _invented(answer: Answer, home: Home) -> int:
    """Count citations of posts that were not found, or whose words do not stand there."""
    evidence = {post.id for post in answer.evidence}
    wrong = 0
    for sentence in answer.sentences:
        for citation in sentence.citations:
            stored = home.log.find([citation.post]).get(citation.post)
            quote = stored.post.text[citation.start : citation.end] if stored else None
            wrong += citation.post not in evidence or quote != citation.quote
    return wrong


if __name__ == "__main__":
    main()
