"""For everyone and on every screen, from nowhere else, and for as long as one likes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from chat_page import OpenPage, Town, violations
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

QUESTION = {
    "en": "When does the first ferry to Dalseom leave?",
    "ko": "달섬 가는 첫 배는 몇 시에 출발하나요?",
}
SCREENS = {"wide": (1280, 800), "phone": (360, 740)}


@pytest.mark.parametrize(
    ("lang", "scheme", "screen"),
    [
        ("en", "light", "wide"),
        ("ko", "light", "phone"),
        ("en", "dark", "phone"),
        ("ko", "dark", "wide"),
    ],
)
def test_axe_finds_nothing(
    open_page: OpenPage, axe: str, lang: str, scheme: str, screen: str
) -> None:
    width, height = SCREENS[screen]
    chat = open_page(lang, width, height, color_scheme=scheme)
    assert violations(chat, axe) == []
    chat.ask(QUESTION[lang])
    assert violations(chat, axe) == []
    chat.open_citation()
    assert violations(chat, axe) == []
    chat.page.keyboard.press("Escape")
    chat.page.click("#menu")
    assert violations(chat, axe) == []


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_phone_needs_no_sideways_scrolling(open_page: OpenPage, lang: str) -> None:
    chat = open_page(lang, 360, 640)

    def check() -> None:
        assert chat.page.evaluate("document.documentElement.scrollWidth") <= 360
        expect(chat.page.locator("#composer")).to_be_in_viewport(ratio=1)

    check()
    turn = chat.ask(QUESTION[lang] + " " + "ㅋ" * 300 + " https://town.example/" + "a" * 300)
    check()
    answer, sources = turn.locator(".body").bounding_box(), turn.locator(".sources").bounding_box()
    assert answer and sources and sources["y"] >= answer["y"] + answer["height"]


def test_on_a_wide_screen_sources_stand_beside_the_answer(open_page: OpenPage) -> None:
    turn = open_page("en", 1280, 800).ask(QUESTION["en"])
    answer, sources = turn.locator(".body").bounding_box(), turn.locator(".sources").bounding_box()
    assert answer and sources
    assert sources["x"] >= answer["x"] + answer["width"]
    assert answer["width"] <= 42 * 16


def test_nothing_is_asked_of_another_origin(open_page: OpenPage, town: Town) -> None:
    chat = open_page("ko")
    chat.ask(QUESTION["ko"])
    chat.open_citation()
    chat.page.keyboard.press("Escape")
    chat.page.click("[data-language=en]")
    chat.settle()
    origins = {urlsplit(url).netloc for url in chat.requests if not url.startswith("data:")}
    assert origins == {urlsplit(town.url).netloc}
    assert chat.page.context.cookies() == []


def test_the_policy_forbids_what_the_page_does_not_need(open_page: OpenPage, town: Town) -> None:
    policy = httpx.get(town.url).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["object-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    chat = open_page("en")
    blocked = chat.page.evaluate(
        """() => new Promise((done) => {
          const tell = (event) => done(event.effectiveDirective);
          document.addEventListener("securitypolicyviolation", tell);
          const script = document.createElement("script");
          script.textContent = "window.hit = 1";
          document.body.append(script);
        })"""
    )
    assert blocked == "script-src-elem"
    assert chat.page.evaluate("window.hit ?? null") is None
    chat.errors.clear()


def test_korean_on_an_english_page_is_marked_and_breaks_between_words(open_page: OpenPage) -> None:
    turn = open_page("en").ask(QUESTION["ko"])
    for part in (turn.locator(".question"), turn.locator(".sentence").first):
        expect(part).to_have_attribute("lang", "ko")
        assert part.evaluate("(e) => getComputedStyle(e).wordBreak") == "keep-all"
    expect(turn.locator(".byline")).to_contain_text("AI answer")


def test_sentences_are_announced_once_each(open_page: OpenPage) -> None:
    chat = open_page("en")
    turn = chat.ask(QUESTION["en"])
    heard = chat.page.locator("#announcements p").all_inner_texts()
    said = turn.locator(".sentence bdi, .sentence p").all_inner_texts()
    assert heard[-1].startswith("The answer is complete.")
    assert len(heard) == len(set(heard))
    for sentence in heard[:-1]:
        assert any(sentence in shown for shown in said)
    expect(chat.page.locator("#announcements")).to_have_attribute("aria-live", "polite")


def conversation_of(turns: int) -> dict[str, Any]:
    """A kept conversation as long as asked for, all in the model's own words."""
    kept = {
        "route": "talk", "abstained": False, "asOf": None, "engine": "x", "html": None,
        "sources": [], "stopped": False,
        "sentences": [{"kind": "own", "citations": [], "parts": ["마당입니다. " * 20]}],
    }  # fmt: skip
    turn = {"question": "안녕하세요?", "asked": "2026-11-20T09:00:00Z", "kept": kept}
    return {"id": "long", "title": "long", "updated": 1, "turns": [turn] * turns}


# Counts nodes that are added or removed, by animation frame, in and outside of the last turn.
COUNT_CHANGES = """() => {
  window.changes = { outside: 0, frames: [] };
  let inFrame = 0;
  new MutationObserver((records) => {
    const last = document.querySelector(".turn:last-child");
    for (const record of records) {
      const count = record.addedNodes.length + record.removedNodes.length;
      if (last.contains(record.target) || !record.target.isConnected) inFrame += count;
      else window.changes.outside += count;
    }
  }).observe(document.getElementById("log"), { childList: true, subtree: true });
  const next = () => {
    if (inFrame) window.changes.frames.push(inFrame);
    inFrame = 0;
    requestAnimationFrame(next);
  };
  next();
}"""


def test_one_more_answer_costs_the_same_after_two_hundred(open_page: OpenPage) -> None:
    chat = open_page("ko")
    seed = json.dumps(conversation_of(200))
    chat.page.evaluate("seed => localStorage.setItem('madang.conversation.long', seed)", seed)
    chat.page.evaluate("sessionStorage.setItem('madang.open', 'long')")
    chat.load()
    expect(chat.page.locator(".turn[data-status=done]")).to_have_count(200)
    chat.page.evaluate(COUNT_CHANGES)
    chat.ask(QUESTION["ko"])
    expect(chat.page.locator(".turn")).to_have_count(201)
    changes = chat.page.evaluate("window.changes")
    # The new turn itself is the only change outside of it.
    assert changes["outside"] == 1
    assert max(changes["frames"]) < 60
