"""Real Chromium on the page of a real server over the sample community."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from chat_page import OpenPage, Town, pages
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


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, as the test dependency axe-playwright-python carries it."""
    try:
        files = metadata.files("axe-playwright-python") or []
    except metadata.PackageNotFoundError:
        pytest.skip("axe-playwright-python is not installed: make test installs it")
    (path,) = [file for file in files if file.name == "axe.min.js"]
    return path.read_text("utf-8")
