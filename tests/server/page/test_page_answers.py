"""Asking: answers arrive in order, can be stopped and asked again, and say what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_page import OpenPage, Town
from playwright.sync_api import Route, expect

pytestmark = pytest.mark.browser

QUESTION = {
    "en": "When does the first ferry to Dalseom leave?",
    "ko": "달섬 가는 첫 배는 몇 시에 출발하나요?",
}
GREETING = {"en": "Hello!", "ko": "안녕하세요!"}
NOTICE = {"en": "An AI answers here", "ko": "인공지능(AI)이 답합니다"}
BYLINE = {"en": "AI answer", "ko": "AI의 답변"}
ORIGINS = {
    "quoted": {"en": "Quoted from posts", "ko": "글에서 그대로 인용"},
    "generated": {
        "en": "Written from posts by AI, checked",
        "ko": "글을 바탕으로 AI가 쓰고 확인을 거침",
    },
    "own": {"en": "The model's own words, not from posts", "ko": "글이 아니라 모델이 스스로 한 말"},
}
LANGUAGES = pytest.mark.parametrize("lang", ["en", "ko"])

# What had been drawn when the first sentence was: [cards, words of the composer's button].
WATCH = """() => {
  window.firsts = null;
  new MutationObserver(() => {
    if (window.firsts || !document.querySelector(".sentence")) return;
    const status = document.querySelector(".turn").dataset.status;
    window.firsts = { cards: document.querySelectorAll(".card").length, status };
  }).observe(document.getElementById("log"), { childList: true, subtree: true });
}"""


@LANGUAGES
def test_a_question_is_answered_from_posts_with_its_sources_first(
    open_page_with_model: OpenPage, lang: str
) -> None:
    chat = open_page_with_model(lang)
    chat.page.evaluate(WATCH)
    turn = chat.ask(QUESTION[lang])
    firsts = chat.page.evaluate("window.firsts")
    assert firsts["cards"] > 0
    assert turn.locator(".citation").count() > 0
    expect(turn.locator(".question")).to_have_text(QUESTION[lang])
    expect(turn.locator(".byline")).to_contain_text(BYLINE[lang])
    for passage in turn.locator(".passage").all():
        kind = passage.get_attribute("data-kind")
        assert kind is not None
        expect(passage.locator(".kind")).to_have_text(ORIGINS[kind][lang])
        assert passage.get_attribute("data-provisional") == "false"
    expect(turn.locator(".as-of")).to_contain_text({"en": "As of", "ko": "기준"}[lang])


@LANGUAGES
def test_every_citation_has_its_card(open_page: OpenPage, lang: str) -> None:
    turn = open_page(lang).ask(QUESTION[lang])
    cited = {marker.strip() for marker in turn.locator(".citation").all_inner_texts()}
    numbered = [marker.strip() for marker in turn.locator(".card .number").all_inner_texts()]
    assert cited == set(numbered)
    assert numbered == [f"[{n}]" for n in range(1, len(numbered) + 1)]


@LANGUAGES
def test_small_talk_is_marked_as_the_models_own_words(
    open_page_with_model: OpenPage, lang: str
) -> None:
    turn = open_page_with_model(lang).ask(GREETING[lang])
    assert turn.locator(".citation").count() == 0
    expect(turn.locator(".passage .kind")).to_have_text(ORIGINS["own"][lang])
    expect(turn.locator(".passage .kind")).to_be_visible()
    expect(turn.locator(".as-of")).to_be_hidden()


@LANGUAGES
def test_the_notice_that_an_ai_answers_is_there_before_and_after(
    open_page: OpenPage, lang: str
) -> None:
    chat = open_page(lang)
    notice = chat.page.locator("#notice")
    expect(notice).to_contain_text(NOTICE[lang])
    expect(notice).to_be_in_viewport()
    chat.ask(GREETING[lang])
    expect(notice).to_be_in_viewport()
    expect(chat.page.locator(".byline")).to_contain_text(BYLINE[lang])


@LANGUAGES
def test_the_empty_page_says_what_it_is_and_its_examples_ask(
    open_page: OpenPage, lang: str
) -> None:
    chat = open_page(lang)
    info = chat.page.evaluate("fetch('/page/info').then((response) => response.json())")
    expect(chat.page.locator("#holdings")).to_contain_text(f"{info['posts']:,}")
    examples = chat.page.locator("#examples button")
    assert examples.all_inner_texts() == info["examples"][lang]
    examples.first.click()
    expect(chat.wait("done").locator(".question")).to_have_text(info["examples"][lang][0])
    expect(chat.page.locator("#welcome")).to_be_hidden()


def test_the_language_of_the_whole_page_can_be_switched(open_page: OpenPage) -> None:
    chat = open_page("en")
    turn = chat.ask(QUESTION["en"])
    answer = turn.locator(".sentence").all_inner_texts()
    chat.page.click("[data-language=ko]")
    expect(chat.page.locator("html")).to_have_attribute("lang", "ko")
    expect(chat.page.locator("h1")).to_have_text("마당")
    expect(turn.locator(".byline")).to_contain_text(BYLINE["ko"])
    expect(turn.locator(".as-of")).to_contain_text("기준")
    expect(chat.page.locator("#question")).to_have_attribute("placeholder", "무엇이든 물어보세요")
    assert turn.locator(".sentence").all_inner_texts() == answer
    chat.load()
    expect(chat.page.locator("h1")).to_have_text("마당")
    expect(chat.page.locator("[data-language=ko]")).to_have_attribute("aria-pressed", "true")


def test_what_was_said_before_goes_along(open_page: OpenPage) -> None:
    chat = open_page("en")
    first = chat.ask(QUESTION["en"])
    said = first.locator(".sentence").first.inner_text().split("\u2060")[0].strip()
    chat.ask("And the last one?")
    messages = chat.asked[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == QUESTION["en"]
    assert said in messages[1]["content"]
    assert messages[2]["content"] == "And the last one?"


def hold_back(route: Route) -> None:
    """Let the request reach nothing for now, as when the model is slow to begin."""


def test_stopping_ends_the_request_and_asking_again_answers(open_page: OpenPage) -> None:
    chat = open_page("en")
    chat.page.route("**/v1/chat/completions", hold_back)
    chat.type(QUESTION["en"])
    chat.page.locator(".stop").click()
    turn = chat.wait("stopped")
    expect(turn.locator(".state")).to_have_text("stopped")
    expect(chat.page.locator(".send")).to_be_visible()
    expect(chat.page.locator("#question")).to_be_focused()
    chat.page.unroute("**/v1/chat/completions")
    turn = chat.page.locator(".turn")
    turn.locator(".retry").click()
    chat.wait("done")
    assert turn.count() == 1
    assert turn.locator(".citation").count() > 0
    assert len(chat.asked) == 2


# A network that delivers the server's answer up to its extract, and then nothing more.
STALL_AFTER_EXTRACT = """
  const fetched = window.fetch;
  window.fetch = async (path, options) => {
    const response = await fetched(path, options);
    if (!String(path).endsWith("/v1/chat/completions")) return response;
    const whole = await response.text();
    const extract = whole.indexOf('"event":"extract"');
    const end = whole.indexOf("\\n\\n", extract) + 2;
    return new Response(new ReadableStream({
      start(to) {
        to.enqueue(new TextEncoder().encode(whole.slice(0, end)));
        options.signal.addEventListener("abort", () => to.error(options.signal.reason));
      },
    }));
  };
"""


@LANGUAGES
def test_what_had_arrived_stays_when_it_is_stopped(open_page: OpenPage, lang: str) -> None:
    chat = open_page(lang)
    chat.page.add_init_script(STALL_AFTER_EXTRACT)
    chat.load()
    chat.type(QUESTION[lang])
    passage = chat.page.locator(".passage")
    expect(passage).to_have_attribute("data-provisional", "true")
    expect(passage.locator(".kind")).to_have_text(
        {"en": "Found in posts, still being read", "ko": "글에서 찾은 내용, 아직 읽는 중"}[lang]
    )
    found = passage.locator(".sentence").all_inner_texts()
    assert found
    chat.page.locator(".stop").click()
    chat.wait("stopped")
    for _ in range(2):
        expect(chat.page.locator(".state")).to_have_text({"en": "stopped", "ko": "멈춤"}[lang])
        expect(passage.locator(".kind")).to_have_text(ORIGINS["quoted"][lang])
        assert passage.locator(".sentence").all_inner_texts() == found
        chat.load()


def test_while_one_answer_is_written_no_other_is_asked_for(open_page: OpenPage) -> None:
    chat = open_page("en")
    chat.page.route("**/v1/chat/completions", hold_back)
    chat.type("first")
    chat.type("second")
    chat.settle()
    assert len(chat.asked) == 1
    expect(chat.page.locator("#question")).to_have_value("second")
    chat.page.locator(".stop").click()


def test_the_emergency_brake_is_shown_and_its_release_too(open_page: OpenPage, town: Town) -> None:
    chat = open_page("ko")
    town.stop()
    try:
        chat.type(QUESTION["ko"])
        turn = chat.wait("failed")
        expect(turn.locator(".failure")).to_contain_text("운영자가 서비스를 멈")
        expect(chat.page.locator("#brake")).to_contain_text("운영자가 서비스를 멈")
        chat.page.click("[data-language=en]")
        expect(turn.locator(".failure")).to_contain_text("The operator has stopped")
        expect(chat.page.locator("#brake")).to_contain_text("The operator has stopped")
        chat.load()
        expect(chat.page.locator("#brake")).to_be_visible()
    finally:
        town.start()
    expect(chat.page.locator("#brake")).to_be_hidden(timeout=10_000)
    chat.page.locator(".retry").click()
    chat.wait("done")


# Every sentence about a failure that was to be seen.
RECORD_FAILURES = """() => {
  window.told = [];
  new MutationObserver(() => {
    const text = document.querySelector(".failure:not([hidden])")?.textContent;
    if (text && window.told.at(-1) !== text) window.told.push(text);
  }).observe(document.getElementById("log"), {
    childList: true, subtree: true, attributeFilter: ["hidden"],
  });
}"""


def test_a_busy_server_is_asked_again_after_the_time_it_named(open_page: OpenPage) -> None:
    chat = open_page("ko")
    body = {"error": {"message": "full", "type": "rate_limit_error", "param": None, "code": None}}
    refusals: list[int] = []

    def refuse_once(route: Route) -> None:
        if refusals:
            route.fallback()
            return
        refusals.append(429)
        route.fulfill(status=429, headers={"retry-after": "2"}, json=body)

    chat.page.route("**/v1/chat/completions", refuse_once)
    chat.page.evaluate(RECORD_FAILURES)
    chat.type(QUESTION["ko"])
    turn = chat.wait("done")
    expect(turn.locator(".failure")).to_be_hidden()
    assert chat.page.evaluate("window.told") == [
        "지금 묻는 사람이 많습니다. 2초 뒤에 다시 묻습니다.",
        "지금 묻는 사람이 많습니다. 1초 뒤에 다시 묻습니다.",
    ]
    assert len(chat.asked) == 2


def refuse(route: Route) -> None:
    route.abort("connectionrefused")


def cut_short(route: Route) -> None:
    chunk: dict[str, Any] = {"choices": [], "madang": {"event": "sources", "route": "posts"}}
    event = f"data: {json.dumps(chunk)}\n\ndata: {{"
    route.fulfill(status=200, headers={"content-type": "text/event-stream"}, body=event)


@pytest.mark.parametrize("fault", [refuse, cut_short])
def test_a_server_that_is_gone_is_told_in_one_sentence(open_page: OpenPage, fault: Any) -> None:
    chat = open_page("en")
    chat.page.route("**/v1/chat/completions", fault)
    chat.type(QUESTION["en"])
    turn = chat.wait("failed")
    expect(turn.locator(".failure")).to_have_text("The server cannot be reached.")
    chat.page.unroute("**/v1/chat/completions")
    turn.locator(".retry").click()
    chat.wait("done")


def test_copying_keeps_citations_links_and_the_notice(open_page: OpenPage, town: Town) -> None:
    chat = open_page("en", permissions=["clipboard-read", "clipboard-write"])
    turn = chat.ask(QUESTION["en"])
    turn.get_by_role("button", name="Copy").click()
    expect(turn.get_by_role("button", name="Copied")).to_be_visible()
    copied = chat.page.evaluate("navigator.clipboard.readText()")
    assert "[1]" in copied.split("\n\n")[0]
    post = town.post(chat.cited()[0])
    assert (post.get("url") or post["id"]) in copied
    assert "Answered by AI" in copied


def test_past_conversations_can_be_opened_and_deleted(open_page: OpenPage) -> None:
    chat = open_page("en")
    page = chat.page
    chat.ask(QUESTION["en"])
    words = page.locator(".sentence").all_inner_texts()
    page.locator(".masthead .start-new").click()
    expect(page.locator("#welcome")).to_be_visible()
    chat.ask(GREETING["en"])
    page.click("#menu")
    menu = page.locator("#conversations[open]")
    assert menu.locator(".title").all_inner_texts() == [GREETING["en"], QUESTION["en"]]
    menu.locator(".open").nth(1).click()
    chat.wait("done")
    assert page.locator(".sentence").all_inner_texts() == words
    page.click("#menu")
    menu.locator("li .quiet").nth(1).click()
    assert menu.locator(".title").all_inner_texts() == [GREETING["en"]]
    expect(page.locator(".turn")).to_have_count(0)
    menu.locator(".forget-all").click()
    assert menu.locator(".title").count() == 1
    menu.locator(".forget-all").click()
    assert menu.locator(".title").count() == 0
    assert page.evaluate("localStorage.length") == 0
