from __future__ import annotations

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.server.admission import Admission, Place, QueueFullError


def test_the_first_work_the_next_wait_and_the_rest_are_refused() -> None:
    async def scenario() -> None:
        admission = Admission(2, 3)
        places = [admission.enter() for _ in range(5)]
        assert [place.turn.done() for place in places] == [True, True, False, False, False]
        with pytest.raises(QueueFullError):
            admission.enter()
        places[0].leave()
        assert places[2].turn.done()
        assert not places[3].turn.done()
        assert (admission.working, admission.waiting) == (2, 2)

    asyncio.run(scenario())


def test_whoever_leaves_the_queue_is_passed_over() -> None:
    async def scenario() -> None:
        admission = Admission(1, 2)
        first, second, third = (admission.enter() for _ in range(3))
        second.leave()
        first.leave()
        assert third.turn.done() and not third.turn.cancelled()
        assert second.turn.cancelled()

    asyncio.run(scenario())


def test_a_kept_place_outlives_its_block() -> None:
    async def scenario() -> None:
        admission = Admission(1, 0)
        with admission.enter() as place:
            place.keep()
        assert admission.working == 1
        place.leave()
        assert admission.working == 0

    asyncio.run(scenario())


def test_retry_after_grows_with_the_queue_and_with_how_long_answers_take() -> None:
    async def wait_told(waiting: int, seconds: float) -> float:
        now = 0.0
        admission = Admission(1, waiting, clock=lambda: now)
        for _ in range(40):
            place = admission.enter()
            now += seconds
            place.leave()
        for _ in range(waiting + 1):
            admission.enter()
        with pytest.raises(QueueFullError) as full:
            admission.enter()
        return full.value.retry_after_s

    async def scenario() -> None:
        quick, slow = await wait_told(4, 0.1), await wait_told(4, 4.0)
        assert 1 <= quick < slow <= 60
        assert await wait_told(1, 4.0) < slow
        assert await wait_told(200, 60.0) == 60

    asyncio.run(scenario())


@pytest.mark.parametrize(("workers", "limit"), [(0, 1), (-1, 1), (1, -1)])
def test_a_queue_that_could_never_work_is_refused(workers: int, limit: int) -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        Admission(workers, limit)


@given(
    workers=st.integers(1, 4),
    limit=st.integers(0, 5),
    moves=st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=80),
)
def test_no_order_of_coming_and_leaving_loses_a_place(
    workers: int, limit: int, moves: list[int | None]
) -> None:
    """A move is an arrival (none) or the leaving of the n-th who is inside."""

    async def scenario() -> None:
        admission = Admission(workers, limit)
        working: list[Place] = []
        waiting: deque[Place] = deque()
        for move in moves:
            inside = [*working, *waiting]
            if move is None:
                if len(inside) == workers + limit:
                    with pytest.raises(QueueFullError):
                        admission.enter()
                    continue
                (working if len(working) < workers else waiting).append(admission.enter())
            elif inside:
                place = inside[move % len(inside)]
                place.leave()
                place.leave()
                if place in working:
                    working.remove(place)
                    if waiting:
                        working.append(waiting.popleft())
                else:
                    waiting.remove(place)
            assert all(place.turn.done() for place in working)
            assert not any(place.turn.done() for place in waiting)
            assert (admission.working, admission.waiting) == (len(working), len(waiting))
        for place in [*working, *waiting]:
            place.leave()
        assert (admission.working, admission.waiting) == (0, 0)

    asyncio.run(scenario())
