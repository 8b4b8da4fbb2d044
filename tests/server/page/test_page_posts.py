"""Posts on the page: opened from citations, forgotten when deleted, harmless whatever they hold."""

from __future__ import annotations

import json

import pytest
from chat_page import OpenPage, Town
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_citation_opens_its_post_with_the_quote_marked(open_page: OpenPage, town: Town) -> None:
    town.write(
        id="town:linked", source="town", author="gaon_dance", author_name="가온 춤모임",
        created_at="2026-11-19T08:00:00Z", lang="ko", url="https://town.example/p/linked",
        text="모두 환영합니다. 탈춤 연습은 매주 화요일 저녁 일곱 시에 합니다. 편한 옷을 입으세요.",
    )  # fmt: skip
    chat = open_page("ko")
    chat.ask("탈춤 연습은 무슨 요일 몇 시에 하나요?")
    assert chat.cited()[0] == "town:linked"
    first = chat.page.evaluate(
        "JSON.parse(Object.values(localStorage)[0]).turns[0].kept.sentences[0].citations[0]"
    )
    dialog = chat.open_citation()
    post = town.post(first["post"])
    assert dialog.locator("mark").first.inner_text() == post["text"][first["start"] : first["end"]]
    assert dialog.locator(".text").first.inner_text() == post["text"]
    expect(dialog.locator("h2")).to_have_text(post["author_name"])
    expect(dialog.locator("time").first).to_have_attribute("datetime", post["created_at"])
    link = dialog.locator(".original a")
    expect(link).to_have_attribute("href", post["url"])
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    chat.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(chat.page.locator(".citation").first).to_be_focused()
    town.delete("town:linked")


def test_emoji_before_the_quote_do_not_shift_its_mark(open_page: OpenPage, town: Town) -> None:
    quote = "등대 음악회는 수요일 저녁 여덟 시에 시작합니다."
    town.write(
        id="town:emoji", source="town", author="music", author_name="🎻 음악회",
        created_at="2026-11-19T09:00:00Z", text=f"🎉👩‍👩‍👧‍👦🇰🇷 {quote} 🎆", lang="ko",
    )  # fmt: skip
    chat = open_page("ko")
    chat.ask("등대 음악회는 무슨 요일 몇 시에 시작하나요?")
    assert "town:emoji" in chat.cited()
    dialog = chat.open_citation(chat.cited().index("town:emoji"))
    assert quote.removesuffix(".") in "".join(dialog.locator("mark").all_inner_texts())
    town.delete("town:emoji")


def test_a_deleted_post_leaves_the_page_and_the_browser(open_page: OpenPage, town: Town) -> None:
    text = "달래분식은 이번 주 목요일에 문을 닫고 금요일 오전 열한 시에 다시 엽니다."
    town.write(
        id="town:closing", source="town", author="dallae", author_name="달래분식",
        created_at="2026-11-19T10:00:00Z", text=text, lang="ko",
    )  # fmt: skip
    chat = open_page("ko")
    chat.ask("달래분식은 금요일 몇 시에 다시 여나요?")
    assert "town:closing" in chat.cited()
    assert "열한 시" in chat.page.locator("#log").inner_text()

    kept = chat.kept()
    assert not [text[at : at + 4] for at in range(len(text) - 3) if text[at : at + 4] in kept]
    assert "달래분식" not in kept

    town.delete("town:closing")
    chat.load()
    chat.page.locator(".turn[data-status=done] .card.gone").wait_for()
    shown = chat.page.locator("#log .body").inner_text()
    assert "열한 시" not in shown
    assert "삭제된" in shown


def test_a_post_deleted_while_the_page_is_open_is_gone_when_it_is_opened(
    open_page: OpenPage, town: Town
) -> None:
    town.write(
        id="town:brief", source="town", author="kim", author_name="Kim Boram",
        created_at="2026-11-19T11:00:00Z", lang="en",
        text="The pottery workshop in Maru Hall begins at half past four on Sunday.",
    )  # fmt: skip
    chat = open_page("en")
    turn = chat.ask("When does the pottery workshop in Maru Hall begin?")
    assert "town:brief" in chat.cited()
    town.delete("town:brief")
    card = turn.locator(".card", has_text="Kim Boram").first
    card.get_by_role("button").click()
    expect(chat.page.locator("#post .content")).to_have_text("This post was deleted.")
    chat.page.keyboard.press("Escape")
    chat.settle()
    assert "half past four" not in chat.page.locator("#log").inner_text()
    assert "Kim Boram" not in chat.page.locator("#log").inner_text()


def test_what_was_deleted_does_not_go_along_with_the_next_question(
    open_page: OpenPage, town: Town
) -> None:
    town.write(
        id="town:short", source="town", author="choi", author_name="Choi Nari",
        created_at="2026-11-19T11:30:00Z", lang="en",
        text="The spare key of the reading room hangs behind the blue door.",
    )  # fmt: skip
    chat = open_page("en")
    chat.ask("Where does the spare key of the reading room hang?")
    assert "town:short" in chat.cited()
    town.delete("town:short")
    chat.ask("And who has the other one?")
    told = json.dumps(chat.asked[-1]["messages"])
    assert "blue door" not in told
    assert "blue door" not in chat.page.locator("#log").inner_text()


def test_an_edited_post_is_not_quoted_at_places_that_moved(open_page: OpenPage, town: Town) -> None:
    post = {
        "id": "town:moved", "source": "town", "author": "lee", "author_name": "Lee Saebom",
        "created_at": "2026-11-19T12:00:00Z", "lang": "en",
    }  # fmt: skip
    town.write(**post, text="The kite contest on Mongdol beach starts at ten on Saturday.")
    chat = open_page("en")
    chat.ask("When does the kite contest on Mongdol beach start?")
    assert "town:moved" in chat.cited()
    town.write(**post, text="Correction. The kite contest on Mongdol beach starts at noon.")
    chat.load()
    body = chat.page.locator(".turn[data-status=done] .body")
    expect(body).to_contain_text("This post was edited after it was quoted.")
    assert "at ten on Saturday" not in body.inner_text()
    town.delete("town:moved")


HOSTILE = (
    "The quince fair <script>window.hit = 1</script> opens <img src=x onerror='window.hit = 1'> "
    "on **Tuesday** [here](javascript:window.hit=1) at nine."
)


def test_markup_in_a_post_is_shown_as_text(open_page: OpenPage, town: Town) -> None:
    town.write(
        id="town:hostile", source="town", author="<b>x</b>", author_name="<i>Eve</i>",
        created_at="2026-11-19T13:00:00Z", text=HOSTILE, lang="en", url="javascript:window.hit=1",
    )  # fmt: skip
    chat = open_page("en")
    turn = chat.ask("When does the quince fair open?")
    assert "town:hostile" in chat.cited()
    chat.settle()
    card = turn.locator(".card", has_text="<i>Eve</i>").first
    card.get_by_role("button").click()
    dialog = chat.page.locator("#post[open]")
    dialog.locator(".text").first.wait_for()
    assert dialog.locator(".text").first.inner_text() == HOSTILE
    expect(dialog.locator("h2")).to_have_text("<i>Eve</i>")
    assert dialog.locator(".original").count() == 0
    assert chat.page.locator("#log script, #log img, #post script, #post img").count() == 0
    assert chat.page.evaluate("window.hit ?? null") is None
    town.delete("town:hostile")


def test_right_to_left_and_invisible_characters_stay_in_their_place(
    open_page: OpenPage, town: Town
) -> None:
    text = "\u202eموعد العبارة الأخيرة\u200b\u200f هو الساعة السابعة" + "\u200b" * 300 + "ـ" * 400
    town.write(
        id="town:rtl", source="town", author="maryam", author_name="مريم",
        created_at="2026-11-19T14:00:00Z", text=text, lang="ar",
    )  # fmt: skip
    chat = open_page("en", width=360, height=740)
    turn = chat.ask("موعد العبارة الأخيرة الساعة")
    card = turn.locator(".card", has_text="مريم").first
    if not card.is_visible():
        turn.locator("details summary").click()
    card.get_by_role("button").click()
    dialog = chat.page.locator("#post[open]")
    dialog.locator(".text").first.wait_for()
    assert dialog.locator(".text").first.evaluate("(e) => getComputedStyle(e).direction") == "rtl"
    assert chat.page.locator(".byline").evaluate("(e) => getComputedStyle(e).direction") == "ltr"
    for part in ("html", "#post", "#post .content"):
        sizes = chat.page.locator(part).evaluate("(e) => [e.scrollWidth, e.clientWidth]")
        assert sizes[0] <= sizes[1], part
    town.delete("town:rtl")


def test_the_conversation_around_a_post_is_there(open_page: OpenPage, town: Town) -> None:
    town.write(
        id="town:q", source="town", author="a", author_name="Ahn", lang="en", thread="town:q",
        created_at="2026-11-19T15:00:00Z", text="Who found a green umbrella at Saetbyeol pier?",
    )  # fmt: skip
    town.write(
        id="town:r", source="town", author="b", author_name="Bae", lang="en", thread="town:q",
        reply_to="town:q", created_at="2026-11-19T15:05:00Z",
        text="The green umbrella from Saetbyeol pier is at the lost property desk.",
    )  # fmt: skip
    chat = open_page("en")
    chat.ask("Where is the green umbrella from Saetbyeol pier?")
    assert "town:r" in chat.cited()
    dialog = chat.open_citation(chat.cited().index("town:r"))
    assert dialog.locator(".thread li .name").all_inner_texts() == ["Ahn", "Bae"]
    expect(dialog.locator(".thread [aria-current]")).to_contain_text("Bae")
    town.delete("town:r")
    town.delete("town:q")
