"""The page's modules on their own, inside of Chromium, which is where they run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chat_page import ChatPage, Town
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

# Text as posts have it: Korean, pairs of UTF-16 units, joined emoji, marks, line ends.
TEXT = st.text(
    st.one_of(
        st.sampled_from("가나다배 시.abc,\n\u200d\u0301\u200b\u202e🎆👩‍👧🇰🇷𝔸"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)
in_one_page = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def modules(browser: Any, town: Town) -> Iterator[Page]:
    context = browser.new_context()
    yield ChatPage(context.new_page(), town.url).page
    context.close()


def call(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    """Evaluate an expression in which `m` is a module and `x` the argument."""
    script = (
        f"async (x) => {{ const m = await import('/static/js/{module}'); return {expression}; }}"
    )
    return page.evaluate(script, argument)


@in_one_page
@given(TEXT, st.integers(0, 45), st.integers(0, 45))
def test_offsets_count_code_points(modules: Page, text: str, start: int, end: int) -> None:
    start, end = sorted((start, end))
    assert (
        call(modules, "offsets.js", "m.slice(x[0], x[1], x[2])", [text, start, end])
        == text[start:end]
    )


def test_an_emoji_before_the_quote_does_not_shift_it(modules: Page) -> None:
    text = "👩‍👩‍👧🎉 축제는 토요일입니다 🎆"
    start = text.index("축제")
    end = text.index(" 🎆")
    parts = call(modules, "offsets.js", "m.cut(x[0], [[x[1], x[2]]])", [text, start, end])
    assert parts == [
        {"text": "👩‍👩‍👧🎉 ", "marked": False},
        {"text": "축제는 토요일입니다", "marked": True},
        {"text": " 🎆", "marked": False},
    ]


@in_one_page
@given(TEXT, st.lists(st.tuples(st.integers(-5, 45), st.integers(-5, 45)), max_size=5))
def test_cutting_keeps_every_character_and_marks_exactly_the_spans(
    modules: Page, text: str, spans: list[tuple[int, int]]
) -> None:
    parts = call(modules, "offsets.js", "m.cut(x[0], x[1])", [text, spans])
    assert "".join(part["text"] for part in parts) == text
    flags = [part["marked"] for part in parts for _ in part["text"]]
    inside = [any(start <= at < end for start, end in spans) for at in range(len(text))]
    assert flags == inside


@st.composite
def cited_sentences(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """A sentence that mixes pieces of the posts that it cites with words of its own."""
    texts = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=3))
    citations = []
    said = ""
    for number, text in enumerate(texts, 1):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        citations.append(
            {
                "post": f"p:{number}",
                "quote": text[start:end],
                "start": start,
                "end": end,
                "n": number,
            }
        )
        said += draw(st.sampled_from([text, text[start:end], text[start:], ""])) + draw(TEXT)
    posts = {f"p:{number}": {"text": text} for number, text in enumerate(texts, 1)}
    return {"kind": "generated", "text": said, "citations": citations}, posts


ROUND_TRIP = """(() => {
  const posts = new Map(Object.entries(x[1]));
  const kept = JSON.parse(JSON.stringify(m.refer(x[0], posts)));
  return [kept, m.restore(kept, posts, "2026-01-01T00:00:00Z")];
})()"""


@in_one_page
@given(cited_sentences())
def test_a_kept_sentence_comes_back_and_holds_nothing_of_the_posts(
    modules: Page, case: tuple[dict[str, Any], dict[str, dict[str, str]]]
) -> None:
    sentence, posts = case
    kept, restored = call(modules, "references.js", ROUND_TRIP, [sentence, posts])
    assert restored["text"] == sentence["text"]
    assert restored["citations"] == sentence["citations"]
    own = [part for part in kept["parts"] if isinstance(part, str)]
    for words in own:
        pairs = {words[at : at + 2] for at in range(len(words) - 1)}
        assert not any(pair in post["text"] for pair in pairs for post in posts.values())
    assert all(set(citation) == {"post", "start", "end", "n"} for citation in kept["citations"])


@pytest.mark.parametrize(
    ("post", "state"),
    [
        ({"text": "배는 7시"}, "whole"),
        (None, "gone"),
        ({"text": "배는 8시", "edited_at": "2026-02-01T00:00:00Z"}, "edited"),
        ({"text": "배는 7시", "edited_at": "2025-02-01T00:00:00Z"}, "whole"),
    ],
)
def test_words_come_back_only_from_the_post_as_it_was(modules: Page, post: Any, state: str) -> None:
    kept = {
        "kind": "quoted",
        "citations": [{"post": "p:1", "start": 0, "end": 5, "n": 1}],
        "parts": [[0, 0, 5]],
    }
    script = "m.restore(x[0], new Map([['p:1', x[1]]]), '2026-01-01T00:00:00Z')"
    restored = call(modules, "references.js", script, [kept, post])
    assert restored["state"] == state
    assert restored["text"] == ("배는 7시" if state == "whole" else "")


READ_IN_PIECES = """(async () => {
  const bytes = new TextEncoder().encode(x[0]);
  const body = new ReadableStream({ start(to) {
    let at = 0;
    for (const size of x[1]) { to.enqueue(bytes.slice(at, at + size)); at += size; }
    to.enqueue(bytes.slice(at));
    to.close();
  }});
  const read = [];
  for await (const data of m.events(body)) read.push(data);
  return read;
})()"""


@in_one_page
@given(
    st.lists(TEXT.filter(lambda text: not {"\r", "\n"} & set(text)), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 9), max_size=30),
)
def test_events_are_read_however_they_are_cut(
    modules: Page, sent: list[str], end: str, sizes: list[int]
) -> None:
    comment = f": ping{end}{end}"
    stream = comment.join(f"event: x{end}data: {data}{end}{end}" for data in sent) + f"x{end}"
    assert call(modules, "stream.js", READ_IN_PIECES, [stream, sizes]) == sent


@pytest.mark.parametrize(
    "html",
    [
        "<script>window.hit = 1</script>",
        "<img src=x onerror='window.hit = 1'>",
        "<p onclick='window.hit = 1'>text</p>",
        "<a href='javascript:window.hit = 1'>text</a>",
        "<a href='data:text/html,x'>text</a>",
        "<svg><script>window.hit = 1</script></svg>",
        "<math><mtext><style><img src=x onerror=window.hit=1></style></mtext></math>",
        "<form action=https://other.example><button>text</button></form>",
        "<iframe srcdoc='<script>parent.hit = 1</script>'></iframe>",
        "<p style='position:fixed' class=brake id=log>text</p>",
    ],
)
def test_markup_brings_no_behaviour_into_the_page(modules: Page, html: str) -> None:
    script = """(() => {
      const home = document.createElement("div");
      home.append(m.fromMarkup(x));
      document.body.append(home);
      home.querySelectorAll("*").forEach((node) => node.click());
      const left = [...home.querySelectorAll("*")].flatMap((node) =>
        [node.localName, ...node.getAttributeNames().map((name) => `${node.localName}.${name}`)]);
      home.remove();
      return [left, window.hit ?? null];
    })()"""
    left, hit = call(modules, "markup.js", script, html)
    assert hit is None
    assert set(left) <= {"p", "span"}


def test_markup_keeps_what_markdown_makes(modules: Page) -> None:
    html = '<h1>a</h1><ol start="3"><li><strong>b</strong></li></ol><pre><code>c</code></pre>'
    script = """(() => {
      const home = document.createElement("div");
      home.append(m.fromMarkup(x));
      return home.innerHTML;
    })()"""
    assert call(modules, "markup.js", script, html) == html.replace("h1>", "h3>")
    link = '<a href="https://town.example/p/1">a</a>'
    shown = call(modules, "markup.js", script, link)
    assert 'href="https://town.example/p/1"' in shown
    assert 'rel="noopener noreferrer nofollow"' in shown


@pytest.mark.parametrize(
    ("text", "known", "lang"),
    [
        ("달섬 가는 첫 배", None, "ko"),
        ("Ferry Saebyeok (새벽호), summer timetable", None, None),
        ("새벽호(Saebyeok) 여름 시간표", None, "ko"),
        ("قارب", "ar", "ar"),
        ("달섬", "und", "ko"),
        ("", None, None),
    ],
)
def test_korean_words_are_known_as_such(
    modules: Page, text: str, known: str | None, lang: str | None
) -> None:
    assert call(modules, "dom.js", "m.ownLanguage(x[0], x[1]).lang", [text, known]) == lang


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://town.example/p/1", True),
        ("http://town.example/", True),
        ("javascript:alert(1)", False),
        (" java\nscript:alert(1)", False),
        ("data:text/html,x", False),
        ("blob:https://town.example/1", False),
        ("at://did:plc:1/app.bsky.feed.post/1", False),
        ("//town.example", False),
        ("", False),
        (None, False),
    ],
)
def test_only_addresses_of_the_web_become_links(modules: Page, address: Any, kept: bool) -> None:
    assert (call(modules, "dom.js", "m.webAddress(x)", address) is not None) is kept
