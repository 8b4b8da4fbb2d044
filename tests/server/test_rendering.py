from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.answer import Answer, Citation, Sentence
from madang.server.rendering import render_answer, render_markdown, render_plain, render_sentence

ALLOWED = {"a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "s", "strong", "ul"}
ALLOWED |= {"h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"}


class Seen(HTMLParser):
    """The elements and the text of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def answer_of(*sentences: Sentence) -> Answer:
    return Answer("?", "en", "talk", False, sentences, (), None, "", {})


def assert_harmless(html: str) -> None:
    for tag, attributes in Seen(html).elements:
        assert tag in ALLOWED, html
        assert set(attributes) <= {"href", "rel", "start"}, html
        if "href" in attributes:
            assert (attributes["href"] or "").lower().startswith(("http://", "https://")), html
            assert attributes["rel"] == "noopener noreferrer nofollow"


def test_markdown_is_rendered() -> None:
    html = render_markdown("**두부** is *safe*\n\n1. one\n2. two\n\n| a | b |\n|--|--|\n| 1 | 2 |")
    tags = [tag for tag, _ in Seen(html).elements]
    assert {"strong", "em", "ol", "li", "table", "td"} <= set(tags)


def test_a_link_to_the_web_is_kept_and_marked() -> None:
    html = render_markdown("see [the town](https://town.example/p/1)")
    assert (
        '<a href="https://town.example/p/1" rel="noopener noreferrer nofollow">the town</a>' in html
    )


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java\tscript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "[x](file:///etc/passwd)",
        "[x](/v1/posts/1)",
        "[x](//evil.example)",
        "[x](mailto:a@b.example)",
        "<javascript:alert(1)>",
        "![x](https://evil.example/pixel.png)",
        "[![x](https://evil.example/p.png)](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "<b onclick=alert(1)>bold</b>",
        "<svg/onload=alert(1)>",
        "<style>body{display:none}</style>",
        "<iframe src=https://evil.example></iframe>",
        "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
        "`<img src=x onerror=alert(1)>`",
        "```html\n<script>alert(1)</script>\n```",
        '[x](https://a.example "onmouseover=alert(1)")',
        '[x](https://a.example/"onmouseover="alert(1))',
        "[x]: javascript:alert(1)\n\n[x]",
    ],
)
def test_nothing_dangerous_comes_out(text: str) -> None:
    html = render_markdown(text)
    assert_harmless(html)
    assert "<img" not in html and "<script" not in html and "<style" not in html
    assert_harmless(render_plain(text))


@given(st.text(max_size=300))
def test_any_text_comes_out_harmless(text: str) -> None:
    assert_harmless(render_markdown(text))
    assert_harmless(render_plain(text))


MARKUP = ["<", ">", '"', "'", "&", "[", "](", ")", "!", "`", "\n", "\\", "|", "-", "*", "가", "\0"]
MARKUP += ["<script>", "</", "img src=x onerror=", "javascript:", "https://", "href=", "&#x6a;"]


@given(st.lists(st.sampled_from(MARKUP), max_size=40).map("".join))
def test_any_mixture_of_markup_comes_out_harmless(text: str) -> None:
    assert_harmless(render_markdown(text))
    assert_harmless(render_plain(text))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]), min_size=1))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert Seen(render_plain(text)).text == text


def test_plain_text_keeps_lines_and_paragraphs() -> None:
    assert render_plain("a\nb\n\n c <i>") == "<p>a<br>b</p><p>c &lt;i&gt;</p>"
    assert render_plain("") == ""


def test_quotes_of_posts_are_not_read_as_markdown() -> None:
    quoted = Sentence("**not bold** 1. no list", "quoted", (Citation("p", "x", 0, 1),))
    assert render_sentence(quoted) == "<p>**not bold** 1. no list</p>"
    generated = Sentence("**bold**", "generated")
    assert render_sentence(generated) == "<p><strong>bold</strong></p>"


def test_own_words_are_rendered_as_one_text() -> None:
    own = (Sentence("Dear **all", "own"), Sentence("of you**, hello.", "own"))
    assert "<strong>all of you</strong>" in render_answer(answer_of(*own))
    mixed = (Sentence("**a", "quoted"), Sentence("b**", "generated"))
    assert "<strong>" not in render_answer(answer_of(*mixed))
