"""Sentences as HTML that is safe to show: Markdown of a model, plain text of a post."""

from __future__ import annotations

import re
from html import escape
from typing import Final

import nh3
from markdown_it import MarkdownIt

from madang.answer import Answer, Sentence

_LINK: Final = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_BLANK_LINES: Final = re.compile(r"\n\s*\n")

_BLOCKS: Final = {"blockquote", "br", "hr", "li", "ol", "p", "pre", "ul"}
_HEADINGS: Final = {"h1", "h2", "h3", "h4", "h5", "h6"}
_INLINE: Final = {"a", "code", "em", "s", "strong"}
_TABLES: Final = {"table", "tbody", "td", "th", "thead", "tr"}
_CLEANER: Final = nh3.Cleaner(
    tags=_BLOCKS | _HEADINGS | _INLINE | _TABLES,
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}},
    url_schemes={"http", "https"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
)


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    markdown.disable("image")
    markdown.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    return markdown


_MARKDOWN: Final = _markdown()


def render_markdown(text: str) -> str:
    """Render a model's Markdown without raw HTML, pictures, or links to other than the web."""
    return str(_CLEANER.clean(_MARKDOWN.render(text))).strip()


def render_plain(text: str) -> str:
    """Render a post's words as they are, in paragraphs; nothing in them is markup."""
    paragraphs = (part.strip() for part in _BLANK_LINES.split(text))
    return "".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in paragraphs if part)


def render_sentence(sentence: Sentence) -> str:
    """Render one sentence by its kind."""
    if sentence.kind == "quoted":
        return render_plain(sentence.text)
    return render_markdown(sentence.text)


def render_answer(answer: Answer) -> str:
    """Render a whole answer; the Markdown of the model's own words may span sentences."""
    if all(sentence.kind == "own" for sentence in answer.sentences):
        return render_markdown(answer.text)
    return "".join(render_sentence(sentence) for sentence in answer.sentences)
