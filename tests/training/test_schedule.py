"""Warm-up, stable, decay, and what a clock makes of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.training.schedule import (
    Deadline,
    Decay,
    decay_of_steps,
    early_end,
    multiplier,
    phase,
)


def test_the_course_of_a_run() -> None:
    decays = [Decay(6, 10)]
    course = [multiplier(step, 3, decays) for step in range(11)]
    assert course == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])
    assert [phase(step, 3, decays) for step in (0, 2, 3, 5, 6, 9)] == [
        *["warm-up"] * 2,
        *["stable"] * 2,
        *["decay"] * 2,
    ]


@given(
    warm_up=st.integers(0, 50),
    starts=st.lists(st.tuples(st.integers(0, 100), st.integers(1, 100)), max_size=4),
)
def test_the_rate_never_jumps_up_and_ends_at_nothing(
    warm_up: int, starts: list[tuple[int, int]]
) -> None:
    decays: list[Decay] = []
    for start, length in sorted(starts):
        decays.append(Decay(start, start + length))
    course = [multiplier(step, warm_up, decays) for step in range(202)]
    assert all(0 <= one <= 1 for one in course)
    if decays:
        assert multiplier(decays[-1].last, warm_up, decays) == 0
        first = decays[0].start
        assert all(a >= b for a, b in zip(course[first:], course[first + 1 :], strict=False))
        assert course[first] == multiplier(first, warm_up, [])


@given(steps=st.integers(1, 10_000), share=st.floats(0.01, 0.99))
def test_exact_steps(steps: int, share: float) -> None:
    decay = decay_of_steps(steps, share)
    assert decay.last == steps
    assert 1 <= decay.last - decay.start <= max(1, round(steps * share))


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.sampled_from([1, 5, 20]),
    share=st.floats(0.0003, 0.012),
    drift=st.floats(0.7, 1.5),
    noise=st.floats(0, 0.5),
    reserve=st.floats(0, 10),
    seed=st.integers(0, 10_000),
)
def test_the_dial_ends_within_five_percent(
    minutes: int, share: float, drift: float, noise: float, reserve: float, seed: int
) -> None:
    """On a machine whose speed drifts over the run and jitters; a step is at most a hundredth."""
    chance = random.Random(seed)
    total = minutes * 60.0
    step = share * total
    deadline = Deadline(total, 0.4)
    decays: list[Decay] = []
    times: list[float] = []
    elapsed, done = 1.0, 0
    while not decays or done < decays[-1].last:
        now = step * (1 + (drift - 1) * min(1, elapsed / total)) * (1 + noise * chance.random())
        elapsed, done = elapsed + now, done + 1
        times = [*times, now][-30:]
        decay = deadline.decide(done, elapsed, sum(times) / len(times), reserve, decays)
        if decay is not None:
            decays.append(decay)
    assert abs(elapsed + reserve - total) <= 0.05 * total
    assert decays[0].start / decays[-1].last == pytest.approx(0.6, abs=0.15)


def test_a_step_longer_than_the_time_still_ends() -> None:
    assert Deadline(60, 0.4).decide(1, 100.0, 90.0, 5.0, []) == Decay(1, 2)


def test_an_early_end_is_short() -> None:
    assert early_end(400, [], 0.1) == Decay(400, 440)
    assert early_end(400, [], 2.0) == Decay(400, 410)
    assert early_end(10, [], 0.1) == Decay(10, 15)
    assert early_end(95, [Decay(60, 100)], 0.1) == Decay(95, 100)
    assert early_end(3, [], float("inf")) == Decay(3, 8)


def test_a_decay_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="trains no step"):
        Decay(5, 5)
