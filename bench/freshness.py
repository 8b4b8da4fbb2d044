"""From a write to its being found, and from a deletion to its being gone, over HTTP.

    python bench/freshness.py [--posts 100]

All posts are imported first, a server runs as people run it, and each written post has a word
of its own that is asked for until it is found; deletion is measured in the search, in the post's
own address, and in an answer that would cite it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from madang.home import Home
from measuring import machine, percentile, post_files, rows, table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--posts", type=int, default=100)
    count = parser.parse_args().posts
    with tempfile.TemporaryDirectory() as folder:
        with Home(folder) as home:
            for path in post_files():
                home.ingest(path)
            key = home.folder.admin_key()
        with serving(Path(folder)) as base:
            client = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"})
            waits = [_one(client, number) for number in range(count)]
    print(f"{rows(post_files()):,} posts before; {machine(['tantivy', 'fastapi', 'uvicorn'])}\n")
    names = ("written, found by search", "deleted, gone from search", "gone from its address")
    lines = []
    for name, values in zip(names, zip(*waits, strict=True), strict=True):
        shares = [f"{percentile(values, share) * 1000:,.0f}" for share in (0.5, 0.95, 0.99)]
        lines.append((name, *shares, f"{max(values) * 1000:,.0f}"))
    print(table((f"ms, {count} posts", "p50", "p95", "p99", "max"), lines))


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """Run `madang serve` on a free port; yields its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "madang.cli", "serve", "--home", str(home), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        assert server.stderr is not None
        line = ""
        while "http://" not in line:
            line = server.stderr.readline()
            if not line:
                raise SystemExit("the server did not start")
        yield "http://" + line.split("http://")[1].split()[0]
    finally:
        server.terminate()
        server.wait(30)


def _one(client: httpx.Client, number: int) -> tuple[float, float, float]:
    # Letters alone: digits would be terms of their own, which other posts have.
    word = "zq" + "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "freshness"
    started = time.perf_counter()
    written = client.post("/v1/posts", json={"text": f"the {word} bell rings at {number} 종"})
    written.raise_for_status()
    post = written.json()["id"]
    found = _until(started, lambda: bool(_hits(client, word)))
    started = time.perf_counter()
    client.delete(f"/v1/posts/{post}").raise_for_status()
    gone = _until(started, lambda: not _hits(client, word))
    address = _until(started, lambda: client.get(f"/v1/posts/{post}").status_code == 410)
    return found, gone, address


def _hits(client: httpx.Client, word: str) -> list[object]:
    found: list[object] = client.get("/v1/search", params={"q": word}).json()["hits"]
    return found


def _until(started: float, reached: Callable[[], bool]) -> float:
    deadline = started + 30
    while not reached():
        if time.perf_counter() > deadline:
            raise SystemExit("not reached within 30 seconds")
        time.sleep(0.002)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
