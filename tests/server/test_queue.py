"""Many at once: a bounded queue, readers who leave, the brake; nothing hangs, no place is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serving import (
    ANSWERABLE,
    SLOW_QUESTION,
    Asker,
    Served,
    asking,
    error_of,
    events,
    opened_copy,
    serving,
    soon,
)
from slow_model import SlowModel

from madang.home import Brake


async def ask_all(url: str, questions: list[str], *, stream: bool) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        requests = (
            client.post("/v1/chat/completions", json=asking(question, stream=stream))
            for question in questions
        )
        return await asyncio.gather(*requests)


@pytest.mark.parametrize("stream", [False, True])
def test_of_200_at_once_each_is_answered_or_sent_away(served: Served, stream: bool) -> None:
    questions = [ANSWERABLE[("en", "ko")[n % 2]][0] for n in range(200)]
    responses = asyncio.run(ask_all(served.url, questions, stream=stream))
    counted = Counter(response.status_code for response in responses)
    assert set(counted) <= {200, 429}, counted
    assert counted[200] >= 34
    for response in responses:
        if response.status_code == 429:
            assert error_of(response)["code"] == "queue_full"
        elif stream:
            assert events(response.text)[-1] == "[DONE]"
        else:
            assert response.json()["choices"][0]["message"]["content"]
    assert soon(lambda: served.queue() == (0, 0))
    assert served.ask(questions[0]).status_code == 200


@pytest.fixture
def model() -> Iterator[SlowModel]:
    with SlowModel() as slow:
        yield slow


@pytest.fixture
def busy(sample_folder: Path, tmp_path: Path, model: SlowModel) -> Iterator[Served]:
    """One worker, a queue of two, and a model that never comes to an end."""
    with (
        opened_copy(sample_folder, tmp_path / "home", model.url) as home,
        serving(home, workers=1, queue=2) as running,
    ):
        assert home.model.wait() is not None
        yield running


def fill(served: Served, model: SlowModel, *, stream: bool) -> list[Asker]:
    askers = [Asker(served, stream=stream)]
    assert model.began.wait(20)
    for waiting in (1, 2):
        askers.append(Asker(served, stream=stream))
        assert soon(lambda: served.queue() == (1, waiting))  # noqa: B023
    return askers


@pytest.mark.parametrize("stream", [False, True])
def test_past_the_queue_one_is_sent_away_at_once(
    busy: Served, model: SlowModel, stream: bool
) -> None:
    askers = fill(busy, model, stream=stream)
    started = time.monotonic()
    refused = busy.ask("hello", stream=stream)
    assert time.monotonic() - started < 1
    assert refused.status_code == 429
    error = error_of(refused)
    assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
    seconds = int(refused.headers["retry-after"])
    assert 1 <= seconds <= 60
    assert int(refused.headers["retry-after-ms"]) == seconds * 1000
    assert "madang_refusals_total 1.0" in busy.client.get("/metrics").text
    for asker in askers:
        asker.hang_up()
    assert soon(lambda: busy.queue() == (0, 0))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("leave", [Asker.hang_up, Asker.reset])
def test_whoever_leaves_makes_room_at_once_and_ends_their_generation_alone(
    busy: Served, model: SlowModel, stream: bool, leave: Callable[[Asker], None]
) -> None:
    first, second, third = fill(busy, model, stream=stream)
    leave(second)
    assert soon(lambda: busy.queue() == (1, 1), 1.0)
    assert model.running == 1
    model.began.clear()
    leave(first)
    assert model.began.wait(2), "the next did not get the turn"
    assert soon(lambda: model.running == 1, 1.0), "the generation went on for nobody"
    assert busy.queue() == (1, 0)
    leave(third)
    assert model.ended.wait(1)
    assert soon(lambda: busy.queue() == (0, 0), 1.0)
    assert model.most <= 2


def test_one_who_leaves_ends_no_other_answer(
    sample_folder: Path, tmp_path: Path, model: SlowModel
) -> None:
    with (
        opened_copy(sample_folder, tmp_path / "home", model.url) as home,
        serving(home, workers=2, queue=2) as served,
    ):
        home.model.wait()
        one, other = Asker(served, stream=True), Asker(served, stream=True)
        assert soon(lambda: model.running == 2, 20)
        one.hang_up()
        assert soon(lambda: model.running == 1, 1.0)
        time.sleep(0.3)
        assert model.running == 1
        assert served.queue() == (1, 0)
        other.hang_up()
        assert soon(lambda: served.queue() == (0, 0))


def test_posts_are_found_and_written_quickly_while_answers_are_made(
    busy: Served, model: SlowModel
) -> None:
    fill(busy, model, stream=True)
    took = []
    for n in range(20):
        started = time.monotonic()
        assert busy.client.get("/v1/search", params={"q": "ferry"}).status_code == 200
        body = {"id": f"local:{n}", "text": "quick"}
        assert busy.client.post("/v1/posts", json=body, headers=busy.admin).status_code == 201
        assert busy.client.get("/healthz").status_code == 200
        took.append(time.monotonic() - started)
    assert sorted(took)[10] < 0.5, took


def test_many_who_leave_at_random_lose_no_place(busy: Served, model: SlowModel) -> None:
    def come_and_go(n: int) -> None:
        asker = Asker(busy, stream=n % 2 == 0)
        time.sleep((n * 7 % 10) / 40)
        (asker.hang_up if n % 3 else asker.reset)()

    with ThreadPoolExecutor(8) as people:
        list(people.map(come_and_go, range(60)))
    assert soon(lambda: busy.queue() == (0, 0), 5.0)
    assert model.ended.wait(2)
    assert model.running == 0


def test_the_brake_ends_what_runs_and_what_waits_within_a_second(
    busy: Served, model: SlowModel
) -> None:
    with ThreadPoolExecutor(3) as people:
        asked: list[Future[httpx.Response]] = []
        for n in range(3):
            asked.append(people.submit(busy.ask, SLOW_QUESTION, stream=True))
            assert soon(lambda: busy.queue() == (1, n), 20)  # noqa: B023
        assert model.began.wait(20)
        Brake(busy.home.folder.brake).pull()
        pulled = time.monotonic()
        responses = [one.result(5) for one in asked]
        assert time.monotonic() - pulled < 1
    for response in responses:
        if response.status_code == 200:
            assert events(response.text)[-1]["error"]["code"] == "stopped"
        else:
            assert response.status_code == 503
            assert error_of(response)["code"] == "stopped"
    assert model.ended.wait(1)
    assert soon(lambda: busy.queue() == (0, 0))
    busy.home.start()


def test_a_stream_is_kept_alive_while_its_turn_has_not_come(
    busy: Served, model: SlowModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang.server.streaming.KEEP_ALIVE_S", 0.1)
    first = Asker(busy, stream=True)
    assert model.began.wait(20)
    with busy.client.stream(
        "POST", "/v1/chat/completions", json=asking("What can you do?", stream=True)
    ) as response:
        lines = response.iter_lines()
        comments = [next(lines) for _ in range(4)]
        assert comments == [": still at work", ""] * 2
        threading.Timer(0.1, first.hang_up).start()
        rest = "\n".join(lines)
    assert events(rest)[-1] == "[DONE]"


@pytest.mark.slow
def test_the_embedded_model_answers_several_and_loses_no_place(with_model: Served) -> None:
    questions = [*(question for question, _ in ANSWERABLE.values()), "hello there"] * 4
    responses = asyncio.run(ask_all(with_model.url, questions, stream=True))
    counted = Counter(response.status_code for response in responses)
    assert set(counted) == {200, 429}, counted
    for response in responses:
        if response.status_code == 200:
            assert events(response.text)[-1] == "[DONE]", response.text[-500:]
    assert soon(lambda: with_model.queue() == (0, 0))
