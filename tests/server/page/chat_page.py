"""The chat page as a person uses it, driven through Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page
from serving import Served

# Chromium reports every status of 400 and more on the console; tests look at those themselves.
EXPECTED_ON_CONSOLE = "Failed to load resource"
PATIENCE_MS = 20_000


class Town:
    """The served community: its page's address, and what its operator does."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.url = served.url + "/"

    def write(self, **post: Any) -> None:
        client, admin = self._served.client, self._served.admin
        client.post("/v1/posts", json=post, headers=admin).raise_for_status()
        # How soon a post is found is for other tests to say: these ask about one that is found.
        self._served.home.catch_up()

    def delete(self, post: str) -> None:
        client, admin = self._served.client, self._served.admin
        client.delete(f"/v1/posts/{quote(post, safe='')}", headers=admin).raise_for_status()

    def post(self, post: str) -> dict[str, Any]:
        return self._served.post(post).raise_for_status().json()

    def stop(self) -> None:
        self._served.home.stop()

    def start(self) -> None:
        self._served.home.start()


class ChatPage:
    """One tab. `requests` are the addresses it asked for, `asked` the bodies of its questions."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.asked: list[Any] = []
        self.errors: list[str] = []
        self._under_way: set[Any] = set()
        page.on("request", self._on_request)
        page.on("requestfinished", lambda request: self._under_way.discard(request))
        page.on("requestfailed", lambda request: self._under_way.discard(request))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)
        self.load()

    def load(self) -> None:
        self.page.goto(self.url)
        self.page.wait_for_selector("body.ready")
        self.settle()

    def type(self, question: str) -> None:
        """Type a question and press Enter."""
        self.page.fill("#question", question)
        self.page.press("#question", "Enter")

    def ask(self, question: str) -> Locator:
        """Ask and wait for the whole answer; returns its turn."""
        self.type(question)
        return self.wait("done")

    def wait(self, status: str) -> Locator:
        """Wait until the last turn has a status; returns it."""
        turn = self.page.locator(f".turn:last-child[data-status={status}]")
        turn.wait_for()
        self.settle()
        return turn

    def settle(self) -> None:
        """Wait until all is drawn, and what follows an answer has been fetched and kept."""
        while True:
            quiet = not self._under_way
            self.page.evaluate(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            if quiet and not self._under_way:
                return

    def open_citation(self, index: int = 0) -> Locator:
        """Press a citation; returns the dialog once the post is in it."""
        self.page.locator(".citation").nth(index).click()
        dialog = self.page.locator("#post[open]")
        dialog.locator(".text").first.wait_for()
        return dialog

    def cited(self) -> list[str]:
        """The ids of the posts that the answers cite, as this browser keeps them."""
        return self.page.evaluate(
            """() => Object.keys(localStorage)
              .filter((key) => key.startsWith("madang.conversation."))
              .flatMap((key) => JSON.parse(localStorage[key]).turns)
              .flatMap((turn) => turn.kept?.sentences ?? [])
              .flatMap((sentence) => sentence.citations.map((citation) => citation.post))"""
        )

    def kept(self) -> str:
        """All that this browser keeps, but for the person's own questions."""
        return self.page.evaluate(
            """() => JSON.stringify(Object.entries({...localStorage, ...sessionStorage}),
              (key, value) => typeof value === "string" && value.startsWith("{")
                ? JSON.parse(value) : ["question", "title"].includes(key) ? "" : value)"""
        )

    def _on_request(self, request: Any) -> None:
        self.requests.append(request.url)
        if request.url.endswith("/v1/chat/completions"):
            self.asked.append(request.post_data_json)
        else:
            self._under_way.add(request)

    def _on_console(self, line: Any) -> None:
        if line.type in ("error", "warning") and EXPECTED_ON_CONSOLE not in line.text:
            self.errors.append(line.text)


OpenPage = Callable[..., ChatPage]


@contextmanager
def pages(browser: Browser, town: Town) -> Iterator[OpenPage]:
    opened: list[ChatPage] = []

    def open_one(
        lang: str = "en", width: int = 1280, height: int = 800, **options: Any
    ) -> ChatPage:
        context = browser.new_context(
            locale={"en": "en-US", "ko": "ko-KR"}[lang],
            timezone_id="Asia/Seoul",
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            **options,
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        opened.append(ChatPage(page, town.url))
        return opened[-1]

    yield open_one
    for chat in opened:
        chat.page.context.close()
    assert [error for chat in opened for error in chat.errors] == []


def violations(chat: ChatPage, axe: str) -> list[str]:
    # Evaluated, not loaded as a script: the page's policy allows no script but its own.
    chat.page.evaluate(axe)
    result = chat.page.evaluate(
        """() => axe.run(document, { runOnly: [
          "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice",
        ] })"""
    )
    assert result["passes"]
    return [
        f"{one['id']}: {node['html']} ({node['failureSummary']})"
        for one in result["violations"]
        for node in one["nodes"]
    ]
