"""HTML of posts as plain text, as a reader of the page sees it, with links in full."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

_PARAGRAPHS: Final = frozenset(
    {"p", "blockquote", "ul", "ol", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "table"}
)
_LINES: Final = frozenset({"div", "li", "tr", "section", "article", "dt", "dd"})
_HIDDEN: Final = frozenset({"script", "style", "template", "head", "title", "noscript"})
# Parsing takes the square of how deep tags are nested; a post has a hundred, an attack a million.
_MAX_TAGS: Final = 5_000
_TAG: Final = re.compile(r"<[^>]*+>?")
_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_AROUND_BREAK: Final = re.compile(r" *\n *")
_MANY_BREAKS: Final = re.compile(r"\n{3,}")


def html_to_text(html: str) -> str:
    """Return the text of a post's HTML: paragraphs by an empty line, `<br>` by a line feed.

    A link whose text is its own address, also where the address is shortened or split into
    spans, becomes the address; any other keeps its text with the address behind it. Mentions and
    hashtags keep their text. A quote's `RE:` line that servers add for old clients is left out.
    """
    if "<" not in html and "&" not in html:
        return html.strip()
    if html.count("<") > _MAX_TAGS:
        return _SPACE.sub(" ", unescape(_TAG.sub(" ", html))).strip()
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    pieces: list[str] = []
    _walk(body, pieces)
    text = _AROUND_BREAK.sub("\n", "".join(pieces))
    return _MANY_BREAKS.sub("\n\n", text).strip()


def _walk(body: LexborNode, pieces: list[str]) -> None:
    # An explicit stack: markup can be nested deeper than Python may recurse.
    stack: list[LexborNode | str] = [body]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            pieces.append(node)
            continue
        tag = node.tag
        if tag == "-text":
            text = node.text_content or ""
            pieces.append(_SPACE.sub(" ", text))
            continue
        if tag == "br":
            pieces.append("\n")
            continue
        if tag in _HIDDEN or tag is None or tag.startswith("-") or tag == "!doctype":
            continue
        classes = (node.attributes.get("class") or "").split()
        if "quote-inline" in classes:
            continue
        if tag == "a":
            pieces.append(_link(node, classes))
            continue
        around = "\n\n" if tag in _PARAGRAPHS else "\n" if tag in _LINES else ""
        if around:
            stack.append(around)
        children = list(node.iter(include_text=True))
        stack.extend(reversed(children))
        if around:
            stack.append(around)


def _link(node: LexborNode, classes: list[str]) -> str:
    shown = _SPACE.sub(" ", node.text(deep=True) or "").strip()
    address = (node.attributes.get("href") or "").strip()
    if "mention" in classes or "hashtag" in classes or shown.startswith(("@", "#")):
        return shown
    if not address.startswith(("https://", "http://")):
        return shown
    bare = address.partition("://")[2].removeprefix("www.").rstrip("/")
    seen = shown.rstrip("…").partition("://")[2] if "://" in shown else shown.rstrip("…")
    if not shown or bare.startswith(seen.removeprefix("www.").rstrip("/")):
        return address
    return f"{shown} ({address})"
