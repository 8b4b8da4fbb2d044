"""The loop: steps, and what a clock or a person decides between them.

Every decision is taken by the first rank and told to the others, and whatever changes weights is
in the plan before the step that it changes.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from torch import nn

from madang.training.batch import BatchSource, StepBatch
from madang.training.distributed import World, from_first
from madang.training.health import Health
from madang.training.metrics import MetricsFile
from madang.training.objective import Loss
from madang.training.optimizer import Optimizer, clip
from madang.training.plan import Plan
from madang.training.progress import Progress
from madang.training.schedule import Deadline, Decay, early_end, multiplier, phase
from madang.training.step import StepLoss, accumulate

Evaluation = Mapping[str, float | None]
Evaluate = Callable[[Any], Evaluation]
"""A model to figures by name; called before the first step, now and then, and after the last."""
Sample = Callable[[Any], str]

# The shares of a run's time that looking at it and saving it may take, when a clock decides.
_EVALUATION_SHARE: Final = 0.04
_SAMPLE_SHARE: Final = 0.01
_CHECKPOINT_SHARE: Final = 0.02
_CHECKPOINT_SECONDS: Final = 20.0
_TIMED_STEPS: Final = 30
_UNTIMED_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Hooks:
    """What happens beside the steps."""

    evaluate: Evaluate | None = None
    sample: Sample | None = None
    progress: Callable[[Progress], None] | None = None
    stop: threading.Event | None = None
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Course:
    """Where a run stands: what a checkpoint keeps beside the tensors."""

    health: Health
    step: int = 0
    elapsed: float = 0.0
    tokens: int = 0
    useful: int = 0
    evaluation_seconds: float = 0.0
    checkpoint_seconds: float = 0.0

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {
            "elapsed": self.elapsed,
            "tokens": self.tokens,
            "useful": self.useful,
            "evaluation_seconds": self.evaluation_seconds,
            "checkpoint_seconds": self.checkpoint_seconds,
            "health": self.health.state(),
        }

    def load(self, step: int, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.step = step
        self.elapsed = float(state["elapsed"])
        self.tokens, self.useful = int(state["tokens"]), int(state["useful"])
        self.evaluation_seconds = float(state["evaluation_seconds"])
        self.checkpoint_seconds = float(state["checkpoint_seconds"])
        self.health.load(state["health"])


@dataclass(slots=True)
class _Pace:
    """How long things take here, measured on the way."""

    steps: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMED_STEPS))
    stepping: float = 0.0
    beside: float = 0.0
    sample: float = 0.0
    last: dict[str, float] = field(default_factory=dict)

    def of_a_step(self) -> float:
        """Return the seconds of a step, without the first ones, which warm the machine up."""
        timed = list(self.steps)
        timed = timed[min(2, len(timed) - 1) :] if len(timed) < _TIMED_STEPS else timed
        return sum(timed) / len(timed) if timed else math.inf

    def with_everything(self) -> float:
        """Return the seconds of a step with its share of what happens between steps."""
        return self.of_a_step() * (1 + self.beside / self.stepping if self.stepping else 1)


@dataclass(slots=True)
class Loop:
    """A run in progress; `run` takes it to its last step."""

    plan: Plan
    model: nn.Module
    optimizer: Optimizer
    source: BatchSource
    loss: Loss
    world: World
    hooks: Hooks
    metrics: MetricsFile | None
    course: Course
    save: Callable[[Loop], None]
    decided: Callable[[Plan], None]
    clock_decides: bool
    began: float
    """The clock's reading at which the run would have begun, had it never been interrupted."""
    _pace: _Pace = field(default_factory=_Pace)
    _ending: bool = False

    def run(self) -> None:
        """Train to the last step; raises TrainingFailedError and whatever a hook raises."""
        if self.course.step == 0:
            self._evaluate()
        while True:
            decision = from_first(self._decide(), self.world)
            if decision is not None:
                self.plan = self.plan.decided(decision)
                self.decided(self.plan)
            if self.plan.last_step is not None and self.course.step >= self.plan.last_step:
                break
            self._step()
            self._beside()
        self._evaluate()
        self._save()

    def _elapsed(self) -> float:
        return self.hooks.clock() - self.began

    def _decide(self) -> Decay | None:
        """Return what the clock or a person wants of the schedule now; only rank 0 is asked."""
        step, plan, stop = self.course.step, self.plan, self.hooks.stop
        if stop is not None and stop.is_set() and not self._ending:
            self._ending = True
            if plan.last_step is None or step < plan.last_step:
                return early_end(step, plan.decays, self._pace.of_a_step())
        if not self.clock_decides or self._ending or plan.minutes is None or step == 0:
            return None
        deadline = Deadline(plan.minutes * 60, plan.decay_share)
        course = self.course
        reserve = plan.reserve_seconds + course.evaluation_seconds + course.checkpoint_seconds
        # The first steps compile and warm up; they say nothing of the others.
        left = plan.minutes * 60 - self._elapsed() - reserve
        if len(self._pace.steps) < _UNTIMED_STEPS and left > 0:
            return None
        return deadline.decide(
            step, self._elapsed(), self._pace.with_everything(), reserve, plan.decays
        )

    def _step(self) -> None:
        plan, course = self.plan, self.course
        start = self.hooks.clock()
        batch = self.source.batch(course.step)
        self.optimizer.clear()
        found = accumulate(self.model, self.loss, batch, plan.micro_batches, self.world)
        norm = clip(self.optimizer.gradients(), plan.clip, self.world)
        course.health.check(course.step, found.mean, norm)
        factor = multiplier(course.step, plan.warm_up, plan.decays)
        self.optimizer.step(course.step, factor)
        seconds = self.hooks.clock() - start
        now_in = phase(course.step, plan.warm_up, plan.decays)
        course.step += 1
        course.tokens += batch.positions
        course.useful += batch.useful
        self._pace.steps.append(seconds)
        self._pace.stepping += seconds
        course.elapsed = self._elapsed()
        if self.world.first:
            self._report(batch, found, seconds, factor, now_in)

    def _report(
        self, batch: StepBatch, found: StepLoss, seconds: float, factor: float, now_in: Any
    ) -> None:
        plan, course = self.plan, self.course
        per_byte = found.total / math.log(2) / batch.bytes if batch.bytes > 0 else None
        flops = flops_of(plan, batch)
        peak = plan.peak_flops * self.world.size
        share = flops / seconds / peak if peak > 0 and seconds > 0 else None
        progress = Progress(
            step=course.step,
            last_step=plan.last_step,
            phase=now_in,
            loss=found.mean,
            bits_per_byte=per_byte,
            learning_rate=plan.matrix_rate * factor,
            tokens_per_second=batch.useful / seconds if seconds > 0 else 0.0,
            peak_share=share,
            seconds=course.elapsed,
            seconds_left=self._left(),
            useful_tokens=course.useful,
        )
        if self.metrics is not None:
            self.metrics.add(
                {
                    "step": course.step,
                    "seconds": course.elapsed,
                    "tokens": course.tokens,
                    "useful_tokens": course.useful,
                    "loss": progress.loss,
                    "bits_per_byte": per_byte,
                    "learning_rate": progress.learning_rate,
                    "tokens_per_second": progress.tokens_per_second,
                    "peak_share": share,
                    "phase": now_in,
                }
            )
        self._tell(progress)

    def _tell(self, progress: Progress) -> None:
        if self.hooks.progress is not None:
            self.hooks.progress(progress)

    def _left(self) -> float | None:
        plan = self.plan
        if self.clock_decides and plan.minutes is not None and not self._ending:
            return max(0.0, plan.minutes * 60 - plan.reserve_seconds - self.course.elapsed)
        if plan.last_step is None:
            return None
        return (plan.last_step - self.course.step) * self._pace.with_everything()

    def _beside(self) -> None:
        """Look at the model, save it, where it is time to; rank 0 says when."""
        plan, step, pace = self.plan, self.course.step, self._pace
        last = plan.last_step is not None and step >= plan.last_step
        if last:
            return
        saving = max(_CHECKPOINT_SECONDS, self.course.checkpoint_seconds / _CHECKPOINT_SHARE)
        looking = max(self._spacing(10), self.course.evaluation_seconds / _EVALUATION_SHARE)
        writing = max(self._spacing(6), pace.sample / _SAMPLE_SHARE)
        due = from_first(
            (
                self._due("checkpoint", plan.checkpoint_every, saving),
                self._due("evaluation", plan.evaluate_every, looking),
                self._due("sample", plan.sample_every, writing),
            ),
            self.world,
        )
        start = self.hooks.clock()
        if due[0]:
            self._save()
        if due[1]:
            self._evaluate()
        if due[2]:
            self._write_sample()
        self._pace.beside += self.hooks.clock() - start

    def _spacing(self, times: int) -> float:
        """Return the seconds between things that happen about so many times in a run."""
        minutes = self.plan.minutes
        return 60.0 if minutes is None or not self.clock_decides else minutes * 60 / times

    def _due(self, what: str, every: int, seconds: float) -> bool:
        if every:
            return self.course.step % every == 0
        now = self.hooks.clock()
        if now - self._pace.last.setdefault(what, now) < seconds:
            return False
        self._pace.last[what] = now
        return True

    def _save(self) -> None:
        start = self.hooks.clock()
        self.course.elapsed = self._elapsed()
        if self.metrics is not None:
            self.metrics.flush()
        self.save(self)
        self.course.checkpoint_seconds = self.hooks.clock() - start

    def _evaluate(self) -> None:
        if self.hooks.evaluate is None:
            return
        start = self.hooks.clock()
        figures = dict(self.hooks.evaluate(self.model))
        self.course.evaluation_seconds = self.hooks.clock() - start
        self._add({"evaluation": figures})

    def _write_sample(self) -> None:
        if self.hooks.sample is None:
            return
        start = self.hooks.clock()
        text = self.hooks.sample(self.model)
        self._pace.sample = self.hooks.clock() - start
        self._add({"sample": text})

    def _add(self, fields: Mapping[str, Any]) -> None:
        if self.metrics is not None:
            line = {"step": self.course.step, "seconds": self._elapsed(), **fields}
            self.metrics.add(line)
            self.metrics.flush()


def flops_of(plan: Plan, batch: StepBatch) -> float:
    """Return the operations of forward and backward that a batch's useful positions need.

    Two for each weight that a position is multiplied with and two more backward for the gradient
    of what came in; another two for the weight's own gradient where it is trained (with adapters
    it is not), and the same for the products of attention.
    """
    lengths = batch.lengths
    attended = float((lengths.astype("float64") * (lengths + 1) / 2).sum()) / batch.positions
    config = plan.model_config()
    spared = 0.0 if plan.method == "full" else 2.0 * config.matmul_parameters()
    return batch.useful * (config.flops_per_token(attended) - spared)
