"""The keyboard: Enter, composing Korean, shortcuts, and where the focus goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chat_page import ChatPage, OpenPage
from playwright.sync_api import CDPSession, Route, expect

pytestmark = pytest.mark.browser

ENTER = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}


@pytest.fixture
def chat(open_page: OpenPage) -> Iterator[ChatPage]:
    """A page whose questions reach nobody: here only what is sent matters."""
    opened = open_page("ko")

    def hold_back(route: Route) -> None:
        pass

    opened.page.route("**/v1/chat/completions", hold_back)
    yield opened


@pytest.fixture
def keys(chat: ChatPage) -> CDPSession:
    chat.page.focus("#question")
    return chat.page.context.new_cdp_session(chat.page)


def compose(keys: CDPSession, text: str) -> None:
    """Have the input method show a text that is not final yet, syllable by syllable."""
    for end in range(1, len(text) + 1):
        keys.send(
            "Input.imeSetComposition",
            {"text": text[:end], "selectionStart": end, "selectionEnd": end},
        )


def press_enter(keys: CDPSession) -> None:
    keys.send("Input.dispatchKeyEvent", {"type": "keyDown", **ENTER})
    keys.send("Input.dispatchKeyEvent", {"type": "keyUp", **ENTER})


def sent(chat: ChatPage) -> list[str]:
    chat.settle()
    return [body["messages"][-1]["content"] for body in chat.asked]


def test_korean_is_sent_once_when_enter_ends_the_composition(
    chat: ChatPage, keys: CDPSession
) -> None:
    keys.send("Input.insertText", {"text": "달섬 가는 "})
    compose(keys, "배는")
    press_enter(keys)
    assert sent(chat) == []
    keys.send("Input.insertText", {"text": "배는"})
    assert sent(chat) == []
    press_enter(keys)
    assert sent(chat) == ["달섬 가는 배는"]
    press_enter(keys)
    assert sent(chat) == ["달섬 가는 배는"]
    expect(chat.page.locator("#question")).to_have_value("")


def test_the_button_during_a_composition_sends_all_of_it_once(
    chat: ChatPage, keys: CDPSession
) -> None:
    keys.send("Input.insertText", {"text": "첫 배"})
    compose(keys, "는")
    chat.page.click(".send")
    assert sent(chat) == ["첫 배는"]
    expect(chat.page.locator("#question")).to_have_value("")


@pytest.mark.parametrize(
    "order",
    [
        # Chromium and Firefox: the key comes first and belongs to the composition.
        [("keydown", {"isComposing": True, "keyCode": 229}), ("compositionend", {})],
        # Safari: the composition has ended before its key is reported.
        [("compositionend", {}), ("keydown", {"isComposing": False, "keyCode": 229})],
    ],
    ids=["chromium", "safari"],
)
def test_the_enter_of_the_input_method_never_sends(
    chat: ChatPage, order: list[tuple[str, dict[str, object]]]
) -> None:
    chat.page.fill("#question", "첫 배는")
    chat.page.evaluate(
        """(order) => {
          const field = document.getElementById("question");
          field.dispatchEvent(new CompositionEvent("compositionstart"));
          for (const [type, init] of order) {
            const event = type === "keydown"
              ? new KeyboardEvent(type, { key: "Enter", bubbles: true, cancelable: true, ...init })
              : new CompositionEvent(type, { data: "는" });
            field.dispatchEvent(event);
          }
        }""",
        order,
    )
    assert sent(chat) == []
    chat.page.press("#question", "Enter")
    assert sent(chat) == ["첫 배는"]


def test_a_held_enter_sends_once(chat: ChatPage, keys: CDPSession) -> None:
    keys.send("Input.insertText", {"text": "hello"})
    for repeated in (False, True, True, True):
        keys.send("Input.dispatchKeyEvent", {"type": "keyDown", "autoRepeat": repeated, **ENTER})
    assert sent(chat) == ["hello"]
    expect(chat.page.locator("#question")).to_have_value("")


def test_shift_enter_makes_a_line_and_the_field_grows(chat: ChatPage) -> None:
    field = chat.page.locator("#question")
    field.fill("one")
    low = field.bounding_box()
    for _ in range(3):
        field.press("Shift+Enter")
    field.type("two")
    high = field.bounding_box()
    assert low and high and high["height"] > low["height"] * 2
    assert sent(chat) == []
    field.press("Enter")
    assert sent(chat) == ["one\n\n\ntwo"]


def test_nothing_but_space_is_not_sent(chat: ChatPage) -> None:
    expect(chat.page.locator(".send")).to_be_disabled()
    chat.type(" \n ")
    assert sent(chat) == []


def test_slash_goes_to_the_field_and_is_typed_inside_of_it(chat: ChatPage) -> None:
    page = chat.page
    page.focus("#menu")
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
    expect(page.locator("#question")).to_have_value("")
    page.keyboard.type("1/2")
    expect(page.locator("#question")).to_have_value("1/2")


def test_the_first_stop_of_the_keyboard_skips_to_the_field(chat: ChatPage) -> None:
    page = chat.page
    page.focus("#menu")
    page.keyboard.press("Shift+Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()


def test_every_control_is_reached_and_shows_its_focus(chat: ChatPage) -> None:
    page = chat.page
    page.evaluate("document.activeElement.blur()")
    controls = page.locator("body :is(button, a, textarea, summary):visible:not(:disabled)").count()
    stops = set()
    for _ in range(controls + 5):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
              const at = document.activeElement;
              if (at === document.body) return null;
              const outlined = (element) => getComputedStyle(element).outlineStyle !== "none";
              const index = [...document.querySelectorAll("*")].indexOf(at);
              return [index, outlined(at) || outlined(at.closest("form") ?? at)];
            }"""
        )
        if stop:
            stops.add(tuple(stop))
    assert all(visible for _, visible in stops)
    assert len(stops) >= controls


def test_escape_closes_the_menu_and_the_focus_returns(chat: ChatPage) -> None:
    page = chat.page
    page.focus("#menu")
    page.keyboard.press("Enter")
    expect(page.locator("#conversations")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#conversations")).to_be_hidden()
    expect(page.locator("#menu")).to_be_focused()
