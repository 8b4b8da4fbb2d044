"""Take the README's picture: the chat page with an answer from the sample community.

Run `python docs/screenshot.py`. It needs Playwright's Python package and /usr/bin/chromium, reads
the sample into a home of its own, and writes docs/images/chat.png.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

PICTURE = Path(__file__).parent / "images" / "chat.png"
CHROMIUM = "/usr/bin/chromium"
MOST_BYTES = 250_000


@contextmanager
def sample_server() -> Iterator[str]:
    """Serve the sample community from a home that is removed afterwards; yields the address."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "madang.cli", "up", "--home", home, "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    if found := re.search(r"http://[\d.]+:\d+", line):
                        yield found.group()
                        return
                raise RuntimeError("the server did not start; run `madang up` to see why")
            finally:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=30)


def answered(page: Page, address: str) -> None:
    """Ask an example in English and one in Korean, once the model is there to answer them."""
    page.goto(address)
    expect(page.locator("#model")).not_to_be_empty(timeout=30_000)
    examples = page.evaluate("fetch('/page/info').then((response) => response.json())")["examples"]
    for question in (examples["en"][0], examples["ko"][0]):
        page.fill("#question", question)
        page.press("#question", "Enter")
        page.wait_for_selector(".turn:last-child[data-status=done] .citation")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(500)


def main() -> None:
    """Take the picture."""
    with sample_server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": 1280, "height": 800},
            locale="en-US",
            timezone_id="Asia/Seoul",
            reduced_motion="reduce",
        )
        answered(page, address)
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(page.screenshot())
        browser.close()
    size = PICTURE.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{PICTURE} has {size:,} bytes, more than {MOST_BYTES:,}")
    print(json.dumps({"picture": str(PICTURE), "bytes": size}))


if __name__ == "__main__":
    main()
