"""Real Chromium on the page of a real server over the sample community."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chat_page import ChatPage, OpenPage, Town
from playwright.sync_api import Browser, sync_playwright
from serving import NO_MODEL, opened_copy, serving

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 20_000


# No longer than a module: while it runs, no other test of the process can use asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM} here: install Debian's package chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def town(
    browser: Browser, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """The sample community, served without a model: answers are quotes and come at once."""
    folder = tmp_path_factory.mktemp("town") / "home"
    with opened_copy(sample_folder, folder, NO_MODEL) as opened, serving(opened) as running:
        yield Town(running)


@pytest.fixture(scope="module")
def town_with_model(
    browser: Browser, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """The sample community, served with the embedded model, which is loaded by now."""
    folder = tmp_path_factory.mktemp("town-with-model") / "home"
    with opened_copy(sample_folder, folder, None) as opened, serving(opened) as running:
        if opened.model.wait() is None:
            pytest.skip(f"the embedded model cannot run here: {opened.model.problem}")
        yield Town(running)


@pytest.fixture
def open_page(browser: Browser, town: Town) -> Iterator[OpenPage]:
    """Open the page in a fresh profile; at the end no page may have had an error."""
    with pages(browser, town) as open_one:
        yield open_one


@pytest.fixture
def open_page_with_model(browser: Browser, town_with_model: Town) -> Iterator[OpenPage]:
    """Open the page of the community that has a model."""
    with pages(browser, town_with_model) as open_one:
        yield open_one


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
