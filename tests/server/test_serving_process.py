"""`madang serve` as a process: it listens at once, obeys the brake, ends without a fuss."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from serving import NO_MODEL, asking, error_of, events
from slow_model import SlowModel

STARTUP_S = 3.0


@contextmanager
def process(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server; yields the process and its URL."""
    command = [sys.executable, "-m", "madang.cli", "serve", "--home", str(home), "--port", "0"]
    with subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running, listening(running)
        finally:
            if running.poll() is None:
                running.kill()


def listening(running: subprocess.Popen[str]) -> str:
    assert running.stderr is not None
    alarm = threading.Timer(30, running.kill)
    alarm.start()
    told = ""
    for line in running.stderr:
        told += line
        if found := re.search(r"is at (http://\S+:\d+)", line):
            alarm.cancel()
            return found.group(1)
    raise AssertionError(f"the server did not start: {told}")


def ended(running: subprocess.Popen[str], within_s: float) -> tuple[int, str, float]:
    started = time.monotonic()
    _, told = running.communicate(timeout=within_s)
    return running.returncode, told, time.monotonic() - started


@pytest.fixture
def folder(sample_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample_folder, tmp_path / "a home"))


def cli(verb: str, home: Path) -> None:
    command = [sys.executable, "-m", "madang.cli", verb, "--home", str(home)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_0_and_without_a_traceback(
    folder: Path, number: signal.Signals
) -> None:
    with process(folder) as (running, url):
        assert httpx.get(f"{url}/healthz").json()["status"] == "ok"
        running.send_signal(number)
        status, told, took = ended(running, 10)
    assert status == 0, told
    assert "Traceback" not in told and "Error" not in told, told
    assert took < 5


def test_it_listens_while_the_model_is_still_being_loaded(folder: Path) -> None:
    started = time.monotonic()
    with process(folder) as (_, url):
        with httpx.Client(base_url=url, timeout=30) as client:
            health = client.get("/healthz").json()
            answer = client.post("/v1/chat/completions", json=asking("Where is the ferry?"))
            took = time.monotonic() - started
        assert health["model"] in ("loading", "ready", "none")
        assert answer.status_code == 200
    # The load of the machine that tests run on is not the server's.
    assert took < STARTUP_S * 3


def test_open_streams_are_told_that_it_ends(folder: Path) -> None:
    with SlowModel() as model, process(folder, "--model", model.url) as (running, url):
        with httpx.Client(base_url=url, timeout=30) as client:
            wait_for_model(client)
            body = asking("Write me a long poem about the sea.", stream=True)
            with client.stream("POST", "/v1/chat/completions", json=body) as response:
                assert model.began.wait(20)
                running.send_signal(signal.SIGTERM)
                told = events(response.read().decode())
        status, errors, took = ended(running, 10)
    assert told[-1]["error"]["code"] == "shutting_down"
    assert status == 0 and "Traceback" not in errors, errors
    assert took < 5


def test_a_client_that_does_not_read_does_not_hold_up_the_end(folder: Path) -> None:
    with process(folder, "--model", NO_MODEL) as (running, url):
        address = (url.split("/")[2].split(":")[0], int(url.rpartition(":")[2]))
        with socket.create_connection(address) as idle, socket.create_connection(address) as half:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            half.sendall(
                b"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            )
            time.sleep(0.3)
            running.send_signal(signal.SIGINT)
            status, errors, took = ended(running, 10)
    assert status == 0 and "Traceback" not in errors, errors
    assert took < 5


def wait_for_model(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while client.get("/healthz").json()["model"] == "loading":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_brake_ends_streams_of_another_process_within_a_second_and_outlives_it(
    folder: Path,
) -> None:
    with SlowModel() as model:
        with process(folder, "--model", model.url) as (running, url):
            with httpx.Client(base_url=url, timeout=30) as client:
                wait_for_model(client)
                body = asking("Write me a long poem about the sea.", stream=True)
                with client.stream("POST", "/v1/chat/completions", json=body) as response:
                    assert model.began.wait(20)
                    cli("stop", folder)
                    pulled = time.monotonic()
                    told = events(response.read().decode())
                    assert time.monotonic() - pulled < 1
                assert told[-1]["error"]["code"] == "stopped"
                assert model.ended.wait(2)
                refused = client.post("/v1/chat/completions", json=asking("hello"))
                assert (refused.status_code, error_of(refused)["code"]) == (503, "stopped")
            running.send_signal(signal.SIGTERM)
            assert ended(running, 10)[0] == 0
        with process(folder, "--model", NO_MODEL) as (_, url):
            again = httpx.post(f"{url}/v1/chat/completions", json=asking("hello"), timeout=30)
            assert (again.status_code, error_of(again)["code"]) == (503, "stopped")
            cli("start", folder)
            assert httpx.post(
                f"{url}/v1/chat/completions", json=asking("hello"), timeout=30
            ).is_success


def test_a_port_that_is_taken_is_said_in_one_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "madang.cli", "serve", "--home", str(folder)]
        done = subprocess.run(
            [*command, "--port", port],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ},
        )
    assert done.returncode not in (0, None)
    assert f"127.0.0.1:{port}" in done.stderr and "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_post_of_another_process_is_found_and_forgotten_within_a_second(folder: Path) -> None:
    with process(folder, "--model", NO_MODEL) as (_, url):
        post = folder.parent / "more.jsonl"
        post.write_text('{"id": "more:1", "text": "The numbat sleeps on the ice plant."}\n')
        command = [sys.executable, "-m", "madang.cli"]
        home = ["--home", str(folder)]
        subprocess.run([*command, "ingest", str(post), *home], check=True, capture_output=True)
        assert found_within_a_second(url, "numbat", True)
        subprocess.run([*command, "forget", "more:1", *home], check=True, capture_output=True)
        assert found_within_a_second(url, "numbat", False)


def found_within_a_second(url: str, word: str, wanted: bool) -> bool:
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        hits = httpx.get(f"{url}/v1/search", params={"q": word}).json()["hits"]
        if bool(hits) is wanted:
            return True
        time.sleep(0.02)
    return False
