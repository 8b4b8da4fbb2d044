"""Does what a newcomer does after the clone: `make up`, a question in each language, Ctrl-C.

    python3 .ci/newcomer.py FOLDER SECONDS [MINUTES]

Fails where the page is not served within SECONDS, where an answer's citations are not in the posts
that they name, or where Ctrl-C does not end it calmly. With MINUTES, the community's own model
learns for so long and must take over the conversation. Uses nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

QUESTIONS = {
    "en": "How much are tickets for the choir concert?",
    "ko": "합창단 음악회 입장권은 얼마예요?",
}
END_SECONDS = 10.0
# What learning takes beside its minutes: packages to install, posts to curate, formats to prove.
LEARN_SECONDS = 420.0
# Nothing here goes through a proxy: the server is on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def fetch(url: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with OPENER.open(request, timeout=60) as response:
        return bytes(response.read())


class Running:
    """`make up` as a terminal runs it: a process group of its own, its output kept."""

    def __init__(self, folder: Path, port: int, minutes: float) -> None:
        self.began = time.monotonic()
        self.output: list[str] = []
        self.process = subprocess.Popen(
            ["make", "up", f"PORT={port}", f"TRAIN={minutes:g}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            print(f"    {line}", end="", flush=True)

    def wait_until_served(self, address: str, seconds: float) -> float:
        while time.monotonic() - self.began < seconds:
            if self.process.poll() is not None:
                raise SystemExit(f"make up ended with status {self.process.returncode}")
            try:
                fetch(f"{address}/healthz")
            except OSError:
                time.sleep(0.05)
            else:
                return time.monotonic() - self.began
        raise SystemExit(f"nothing was served within {seconds:.0f} s")

    def press_ctrl_c(self) -> float:
        pressed = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"Ctrl-C did not end it within {END_SECONDS:.0f} s") from None
        self._reader.join()
        return time.monotonic() - pressed

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def check_answer(address: str, question: str) -> str:
    body = {"model": "madang", "messages": [{"role": "user", "content": question}]}
    reply = json.loads(fetch(f"{address}/v1/chat/completions", body))
    sentences = reply["madang"]["answer"]["sentences"]
    citations = [one for sentence in sentences for one in sentence["citations"]]
    if not citations:
        raise SystemExit(f"{question!r} was answered without a citation: {sentences}")
    for one in citations:
        post = json.loads(fetch(f"{address}/v1/posts/{urllib.parse.quote(one['post'], safe='')}"))
        text = post.get("post", post)["text"]
        if text[one["start"] : one["end"]] != one["quote"]:
            raise SystemExit(f"{one['post']} does not hold {one['quote']!r}")
    return str(reply["choices"][0]["message"]["content"])


def wait_until_learned(address: str, seconds: float) -> None:
    """Wait until the community's own model speaks; fail where it does not come to that."""
    began, shown = time.monotonic(), ""
    while time.monotonic() - began < seconds:
        now = json.loads(fetch(f"{address}/v1/learning"))
        state = " ".join(str(now[key]) for key in ("state", "stage", "detail") if now[key])
        if state != shown:
            print(f"    {time.monotonic() - began:5.0f} s  {state}", flush=True)
            shown = state
        if now["state"] == "learned":
            if now["speaks"] != now["release"]:
                raise SystemExit(f"{now['release']} was learned, but {now['speaks']} speaks")
            print(f"  {now['release']}: bits per byte {now['bits_per_byte']}")
            return
        if now["state"] in ("failed", "nothing", "off"):
            raise SystemExit(f"the model did not learn: {state}")
        time.sleep(1)
    raise SystemExit(f"the model had not learned after {seconds:.0f} s: {shown}")


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    running = Running(folder, port, minutes)
    try:
        print(f"  served after {running.wait_until_served(address, seconds):.1f} s")
        if b"<html" not in fetch(f"{address}/"):
            raise SystemExit("the address does not show the chat page")
        for language, question in QUESTIONS.items():
            print(f"  {language}: {question}\n      {check_answer(address, question)}")
        if minutes:
            wait_until_learned(address, 60 * minutes + LEARN_SECONDS)
            for language, question in QUESTIONS.items():
                print(f"  {language}: {question}\n      {check_answer(address, question)}")
        print(f"  Ctrl-C: ended after {running.press_ctrl_c():.1f} s")
    finally:
        running.kill()
    if any(sign in line for line in running.output for sign in ("Traceback", "***", "rror")):
        raise SystemExit("an error was printed")


if __name__ == "__main__":
    main()
