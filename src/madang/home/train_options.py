"""What a training is asked for, what is told on the way, and what is reported in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from madang.release import Progress as Publishing
    from madang.training.plan import Plan
    from madang.training.progress import Progress

Objective = Literal["pretrain", "sft", "dpo"]
Method = Literal["full", "lora"]
StageName = Literal["curate", "tokenize", "plan", "train", "evaluate", "publish"]

SCRATCH: Final = "scratch"
DEFAULT_MINUTES: Final = 5.0
# How much of the tokens is general text where `replay` names a file and no share.
REPLAY_SHARE: Final = 0.1


class NothingToLearnError(ValueError):
    """There is nothing that may be learned from; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """One training. What is none is derived from the machine and the posts.

    `base` is `scratch`, `smollm2`, the name of a release, a GGUF file or a folder in Hugging
    Face's layout. `data` is a file of conversations, preferences or posts; else the home's posts.
    `plan` is the file of a plan that is to be replayed. `overrides` are fields of the plan.
    """

    base: str = SCRATCH
    method: Method | None = None
    objective: Objective = "pretrain"
    data: str | None = None
    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    name: str | None = None
    resume: str | None = None
    plan: str | None = None
    replay: str | None = None
    replay_share: float | None = None
    publish: bool = True
    formats: tuple[str, ...] | None = None
    threads: int | None = None
    workers: int | None = None
    engine: Literal["local", "ray"] = "local"
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"{self.minutes} minutes are no time to train in; give more than 0")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"{self.steps} steps are none; give at least 1")
        if self.minutes is not None and self.steps is not None:
            raise ValueError("give --minutes or --steps, not both: either one ends the run")
        if self.resume is not None and self.plan is not None:
            raise ValueError("a run that is resumed goes on by its own plan; leave out --plan")
        if self.objective == "dpo" and self.base == SCRATCH:
            raise ValueError("preferences need a model that can answer already; give --from")
        if self.objective != "pretrain" and self.data is None:
            raise ValueError(f"--objective {self.objective} needs its examples: --data FILE")
        if self.method == "lora" and self.base == SCRATCH and self.plan is None:
            raise ValueError("adapters need a model to adapt; give --from, or --method full")
        if self.replay_share is not None and not 0 < self.replay_share < 1:
            raise ValueError(f"a replay share of {self.replay_share} is not between 0 and 1")


@dataclass(frozen=True, slots=True)
class Stage:
    """What a training does now; `corpus` is the folder that it reads, once there is one."""

    stage: StageName
    run: str | None = None
    corpus: str | None = None


def _nothing(*_: Any) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watcher:
    """Whom a training tells what it does. `stop`, once set, ends it soon with a usable model."""

    stage: Callable[[Stage], None] = _nothing
    curating: Callable[[str, int, int], None] = _nothing
    planned: Callable[[Plan], None] = _nothing
    progress: Callable[[Progress], None] = _nothing
    sample: Callable[[str], None] = _nothing
    publishing: Callable[[Publishing], None] = _nothing
    note: Callable[[str], None] = _nothing
    stop: threading.Event | None = None


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training left. `bits_per_byte` is before and after on each kind of text."""

    run: str
    release: str | None
    parameters: int
    steps: int
    tokens: int
    useful_tokens_per_second: float
    peak_share: float | None
    seconds: float
    bits_per_byte: Mapping[str, Mapping[str, float | None]]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `train --json`."""
        return {
            "run": self.run,
            "release": self.release,
            "parameters": self.parameters,
            "steps": self.steps,
            "tokens": self.tokens,
            "useful_tokens_per_second": round(self.useful_tokens_per_second, 2),
            "peak_share": None if self.peak_share is None else round(self.peak_share, 4),
            "seconds": round(self.seconds, 2),
            "bits_per_byte": {kind: dict(both) for kind, both in self.bits_per_byte.items()},
        }
