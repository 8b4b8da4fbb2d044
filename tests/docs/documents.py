"""The documents of this repository: their code blocks and links, read as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "samples").rglob("*.md")]
)
NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its content, its line, and why it is not run, if so."""

    language: str
    content: str
    line: int
    not_run: str | None


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks; a comment right before one may say why it is not run."""
    found: list[Block] = []
    comment = None
    for token in tokens(page):
        if token.type == "html_block":
            comment = NOT_RUN.search(token.content)
        elif token.type == "fence":
            assert token.map is not None
            reason = comment[1] if comment else None
            found.append(Block(token.info.strip(), token.content, token.map[0] + 1, reason))
            comment = None
        else:
            comment = None
    return found


def links(page: Path) -> Iterator[str]:
    """Yield where links and pictures lead."""
    for token in tokens(page):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target:
                yield str(target)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as code hosts make them."""
    stream = tokens(page)
    titles = [
        following.content for token, following in pairwise(stream) if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
