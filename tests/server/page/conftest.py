"""Real Chromium on the page of a real server over the sample community."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from chat_page import ChatPage
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 30_000


@dataclass(frozen=True)
class Served:
    """A running server: its address, ending in a slash, and its home."""

    url: str
    home: Path

    def write(self, **post: Any) -> None:
        self._admin("POST", "v1/posts", json=post)

    def delete(self, post: str) -> None:
        self._admin("DELETE", f"v1/posts/{quote(post, safe='')}")

    def post(self, post: str) -> dict[str, Any]:
        return self._admin("GET", f"v1/posts/{quote(post, safe='')}").json()

    def run(self, verb: str) -> None:
        command = [sys.executable, "-m", "madang.cli", verb, "--home", str(self.home)]
        subprocess.run(command, check=True, capture_output=True)

    def _admin(self, method: str, path: str, **options: Any) -> httpx.Response:
        key = (self.home / "admin-key").read_text().strip()
        headers = {"authorization": f"Bearer {key}"}
        response = httpx.request(method, self.url + path, headers=headers, **options)
        return response.raise_for_status()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "madang.cli", "up", "--home", str(home), "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stderr is not None
        told: list[str] = []
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"http://[\d.]+:\d+", line):
                break
        else:
            pytest.fail("the server did not start: " + "".join(told))
        try:
            yield Served(found.group() + "/", home)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM} here: install Debian's package chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


OpenPage = Callable[..., ChatPage]


@pytest.fixture
def open_page(browser: Browser, served: Served) -> Iterator[OpenPage]:
    """Open the page in a fresh profile. At the end no page may have had an error."""
    opened: list[ChatPage] = []

    def open_one(lang: str = "en", width: int = 1280, height: int = 800, **options: Any) -> ChatPage:
        context = browser.new_context(
            locale={"en": "en-US", "ko": "ko-KR"}[lang],
            timezone_id="Asia/Seoul",
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            **options,
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        opened.append(ChatPage(page, served.url))
        return opened[-1]

    yield open_one
    for chat in opened:
        chat.page.context.close()
    assert [error for chat in opened for error in chat.errors] == []
