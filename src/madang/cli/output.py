"""What the verbs print: JSON for programs on standard output, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from madang.answer import Answer, Sentence
from madang.posts import Post
from madang.posts.ingest import IngestReport
from madang.posts.ingest import Progress as ProgressCallback

people = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(data: Mapping[str, Any]) -> None:
    """Print one object on one line of standard output."""
    sys.stdout.write(orjson.dumps(data).decode() + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell a person something, on standard error, without reading it as markup."""
    people.print(text, markup=False)


@contextmanager
def progress_bar(name: str) -> Iterator[ProgressCallback]:
    """Show a bar that follows an import; nothing where standard error is not a terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]:,} posts"),
        TimeRemainingColumn(),
        console=people,
        transient=True,
        disable=not people.is_terminal,
    )
    with bar:
        task = bar.add_task(name, total=None, rows=0)

        def advance(rows: int, done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, rows=rows)

        yield advance


def ingest_line(name: str, report: IngestReport) -> str:
    """Say what an import did, in one or two sentences."""
    parts = [
        f"{count:,} {what}"
        for what, count in (
            ("new", report.written),
            ("edited", report.edited),
            ("deleted", report.deleted),
            ("unchanged", report.unchanged),
        )
        if count
    ]
    line = f"{name}: {report.read:,} read, {', '.join(parts) or 'nothing new'}"
    skipped = sum(report.skipped.values())
    if skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.most_common())
        line += f"; {skipped:,} skipped ({reasons}), see {report.rejects}"
    if report.warning:
        line += f". {report.warning}"
    return line


def answer_lines(answer: Answer) -> Iterator[str]:
    """Lay an answer out for a terminal: sentences with markers, then the posts they cite."""
    posts = {post.id: post for post in answer.evidence}
    numbers: dict[str, int] = {}
    for sentence in answer.sentences:
        for citation in sentence.citations:
            numbers.setdefault(citation.post, len(numbers) + 1)
    for sentence in answer.sentences:
        yield _marked(sentence, numbers)
    if numbers:
        yield ""
        for name, number in numbers.items():
            yield f"[{number}] {post_line(posts[name])}"
    elif answer.abstained and answer.evidence:
        yield ""
        for post in answer.evidence[:3]:
            yield f" ·  {post_line(post)}"
    if answer.as_of is not None:
        yield ""
        yield f"{'기준' if answer.lang == 'ko' else 'as of'} {answer.as_of:%Y-%m-%d %H:%M} UTC"


def post_line(post: Post) -> str:
    """Show a post in one line."""
    when = f"{post.created_at:%Y-%m-%d}" if post.created_at else "----------"
    text = " ".join(post.text.split())
    return f"{when} {post.author_name or post.author or '?'}: {text[:200]}  <{post.id}>"


def _marked(sentence: Sentence, numbers: Mapping[str, int]) -> str:
    markers = dict.fromkeys(numbers[citation.post] for citation in sentence.citations)
    return sentence.text + "".join(f" [{number}]" for number in markers)
