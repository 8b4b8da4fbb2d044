"""The learning rate's course: warm-up, stable, and a decay that can begin at any moment.

Warm-up-stable-decay (Hu et al., MiniCPM, 2024, arXiv:2404.06395): because nothing before the decay
depends on where the run ends, a clock or a person may end it whenever they like. Every such
decision is a `Decay`, written into the plan; with the same decays the same course comes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Phase = Literal["warm-up", "stable", "decay"]


@dataclass(frozen=True, slots=True)
class Decay:
    """From step `start` the rate falls linearly; step `last` is no longer trained.

    A later decay overrules an earlier one from its own start, from the height reached there.
    """

    start: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.last:
            raise ValueError(f"a decay from step {self.start} to {self.last} trains no step")


def multiplier(step: int, warm_up: int, decays: Sequence[Decay]) -> float:
    """Return the factor of every learning rate at `step` (counted from 0), from 0 to 1."""
    past = [decay for decay in decays if decay.start <= step]
    if not past:
        return min(1.0, (step + 1) / (warm_up + 1))
    decay = past[-1]
    height = multiplier(decay.start, warm_up, past[:-1])
    return height * max(0.0, (decay.last - step) / (decay.last - decay.start))


def phase(step: int, warm_up: int, decays: Sequence[Decay]) -> Phase:
    """Return the name of the phase that `step` belongs to."""
    if any(decay.start <= step for decay in decays):
        return "decay"
    return "warm-up" if step < warm_up else "stable"


def decay_of_steps(steps: int, share: float) -> Decay:
    """Return the decay of a run of exactly `steps` steps, of which `share` decay."""
    return Decay(steps - min(steps, max(1, round(steps * share))), steps)


def decay_from(step: int, share: float) -> Decay:
    """Return the decay that begins now, after `step` steps, and takes `share` of the whole."""
    return Decay(step, step + max(1, math.ceil(step * share / (1 - share))))


def early_end(step: int, decays: Sequence[Decay], seconds_a_step: float) -> Decay:
    """Return the short decay with which a run that was told to stop ends after `step` steps.

    A tenth of the steps made so far, at least 5 and at most about 20 seconds' worth, and never
    later than the end already decided.
    """
    affordable = int(20 / seconds_a_step) if seconds_a_step > 0 else step
    last = step + max(5, min(math.ceil(step / 10), affordable))
    if decays:
        last = min(last, decays[-1].last)
    return Decay(step, last)


@dataclass(frozen=True, slots=True)
class Deadline:
    """Decides, from measured step times, when the decay begins so that the run ends on time.

    `seconds` is the whole run, `share` the part of the steps that decay.
    """

    seconds: float
    share: float
    tolerance: float = 0.015

    def decide(
        self,
        step: int,
        elapsed: float,
        seconds_a_step: float,
        reserve: float,
        decays: Sequence[Decay],
    ) -> Decay | None:
        """Return a decay to be entered into the plan now, after `step` steps, or None.

        `reserve` is how long the last evaluation and the last checkpoint will take. While the
        decay runs, its end is moved where the machine has become faster or slower, but only
        where the run would otherwise miss its time by more than `tolerance` and a tenth of what is
        left, never by less than a step, and more often only towards the end.
        """
        left = self.seconds - reserve - elapsed
        possible = max(1, round(left / seconds_a_step)) if seconds_a_step > 0 else 1 << 30
        if not decays:
            decay = decay_from(step, self.share)
            if left > (decay.last - step + 0.5) * seconds_a_step:
                return None
            return Decay(step, step + min(decay.last - step, possible))
        planned = decays[-1].last - step
        off = abs(planned - possible) * seconds_a_step
        settled = step - decays[-1].start >= max(3, planned // 10)
        if (
            planned < 2
            or not settled
            or off <= max(self.tolerance * self.seconds, 0.1 * left, seconds_a_step)
        ):
            return None
        return Decay(step, step + possible)
