"""What a person sees of a run while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from madang.training.schedule import Phase


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a step.

    `loss` is in nats a trained token; `bits_per_byte` is none where bytes are not known;
    `tokens_per_second` counts useful (unpadded) tokens; `peak_share` is none where the machine
    was not measured; `seconds_left` and `last_step` are none where nothing says when it ends.
    """

    step: int
    last_step: int | None
    phase: Phase
    loss: float
    bits_per_byte: float | None
    learning_rate: float
    tokens_per_second: float
    peak_share: float | None
    seconds: float
    seconds_left: float | None
    useful_tokens: int
    evaluation: Mapping[str, float | None] | None = None
    sample: str | None = None


def describe(progress: Progress) -> str:
    """Return one line, such as `step 120/400  loss 3.214  1.93 bits/byte  2,725 tokens/s …`."""
    end = "" if progress.last_step is None else f"/{progress.last_step:,}"
    parts = [f"step {progress.step:,}{end}", f"loss {progress.loss:.3f}"]
    if progress.bits_per_byte is not None:
        parts.append(f"{progress.bits_per_byte:.2f} bits/byte")
    parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.peak_share is not None:
        parts.append(f"{progress.peak_share:.0%} of peak")
    parts.append(progress.phase)
    if progress.seconds_left is not None:
        parts.append(f"{clock(progress.seconds_left)} left")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Return a duration as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
