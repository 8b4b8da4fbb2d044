"""A run: a plan, a source of batches, and a folder that can be killed at any moment and go on.

In the folder: `plan.json`, `metrics.jsonl`, `state.json`, `ledger.jsonl`, `checkpoints/`, and at
the end `weights.safetensors` (what was trained: all weights, or the adapters) and `config.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from madang.training.batch import BatchSource
from madang.training.building import build_model, trained_tensors
from madang.training.checkpoint import (
    last_whole,
    load_into,
    prune,
    save_checkpoint,
)
from madang.training.distributed import World, from_first, full, joined, wait_for_all
from madang.training.files import sha256, write_text
from madang.training.health import Health, TrainingFailedError
from madang.training.ledger import Ledger
from madang.training.loop import Course, Hooks, Loop
from madang.training.metrics import MetricsFile, cut_back, read_metrics
from madang.training.objective import Loss, next_token_loss
from madang.training.optimizer import Optimizer
from madang.training.pinning import pin, restore, unpinned
from madang.training.plan import Plan, read_plan
from madang.training.schedule import decay_of_steps
from madang.training.state import RunState, held, now, read_state, write_state
from madang.training.step import check_division

if TYPE_CHECKING:
    from madang.model.transformer import Transformer

_NO_HOOKS = Hooks()


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run ended with.

    `before` and `after` are the first and the last evaluation, `loss` the last step's, in nats;
    `notes` are sentences a person should read, such as on a checkpoint that was skipped.
    """

    folder: Path
    plan: Plan
    state: RunState
    steps: int
    seconds: float
    tokens: int
    useful_tokens: int
    loss: float | None
    before: dict[str, float | None] | None
    after: dict[str, float | None] | None
    peak_share: float | None
    model: Any
    notes: tuple[str, ...] = ()


def train(
    plan: Plan,
    source: BatchSource,
    folder: Path,
    *,
    hooks: Hooks = _NO_HOOKS,
    loss: Loss = next_token_loss,
    model: Transformer | None = None,
) -> RunResult:
    """Train by `plan` on `source` into `folder`, which must hold no run yet.

    `model` takes the place of the plan's base where it is loaded already. The clock of
    `plan.minutes` starts with this call. Raises ValueError where plan, base or folder do not fit,
    TrainingFailedError where the loss is not finite or does not fall, and OSError in one
    sentence where the disk is full; `state.json` then says the same.
    """
    if (folder / "plan.json").exists():
        raise ValueError(f"{folder}: there is a run here already; resume it or choose another name")
    if plan.steps is not None and not plan.decays:
        plan = plan.decided(decay_of_steps(plan.steps, plan.decay_share))
    return _run(plan, source, folder, hooks, loss, model, resumed=False)


def resume(
    folder: Path,
    source: BatchSource,
    *,
    hooks: Hooks = _NO_HOOKS,
    loss: Loss = next_token_loss,
    model: Transformer | None = None,
) -> RunResult:
    """Go on with the run in `folder` from its last whole checkpoint, to the same bits.

    `source` and `loss` must be those of the run. Raises as `train` does.
    """
    plan = read_plan(folder)
    if (folder / "state.json").exists() and read_state(folder).state == "finished":
        raise ValueError(f"{folder}: this run is finished; train from its weights instead")
    return _run(plan, source, folder, hooks, loss, model, resumed=True)


def _run(
    plan: Plan,
    source: BatchSource,
    folder: Path,
    hooks: Hooks,
    loss: Loss,
    model: Transformer | None,
    *,
    resumed: bool,
) -> RunResult:
    began = hooks.clock()
    before = unpinned()
    pin(plan)
    try:
        with joined(plan.device) as world:
            check_division(plan.micro_batches, world)
            if world.first:
                folder.mkdir(parents=True, exist_ok=True)
            wait_for_all(world)
            with held(folder) if world.first else contextlib.nullcontext():
                run = _Run(folder, world, hooks, began)
                return run.go(plan, source, loss, model, resumed=resumed)
    finally:
        restore(before)


@dataclass(slots=True)
class _Run:
    """What the files of a run's folder need to know."""

    folder: Path
    world: World
    hooks: Hooks
    began: float
    started: str = ""

    def go(
        self,
        plan: Plan,
        source: BatchSource,
        loss: Loss,
        model: Transformer | None,
        *,
        resumed: bool,
    ) -> RunResult:
        clock_decides = plan.minutes is not None and plan.steps is None and not plan.decays
        self.started = now()
        try:
            if not resumed:
                self._write_plan(plan)
            self._say("running")
            self._log_origin(plan)
            built = build_model(plan, self.world, model)
            optimizer = Optimizer(built.named_parameters(), plan, self.world)
            course = Course(Health(plan.base is None and model is None, plan.warm_up))
            notes = self._restore(course, built, optimizer) if resumed else []
            self._log(
                "resume" if resumed else "start", {"step": course.step, "ranks": self.world.size}
            )
            with self._metrics(course.step) as metrics:
                loop = Loop(
                    plan=plan,
                    model=built,
                    optimizer=optimizer,
                    source=source,
                    loss=loss,
                    world=self.world,
                    hooks=self.hooks,
                    metrics=metrics,
                    course=course,
                    save=self._save,
                    decided=self._write_plan,
                    clock_decides=clock_decides,
                    began=self.began - course.elapsed,
                )
                loop.run()
            return self._finish(loop, notes)
        except TrainingFailedError as error:
            self._end("failed", str(error))
            raise
        except KeyboardInterrupt:
            self._end("stopped", "it was interrupted; resume it from its last checkpoint")
            raise
        except BaseException as error:
            self._end("stopped" if isinstance(error, OSError) else "failed", _sentence(error))
            raise

    def _restore(self, course: Course, model: Transformer, optimizer: Optimizer) -> list[str]:
        """Load the last whole checkpoint; without one the run begins anew."""
        checkpoint, notes = from_first(
            last_whole(self.folder / "checkpoints") if self.world.first else None, self.world
        )
        if checkpoint is not None:
            load_into(checkpoint, trained_tensors(model), optimizer.state, self.world)
            course.load(checkpoint.step, checkpoint.state)
        elif notes:
            notes.append("no whole checkpoint is left; the run begins anew")
        return list(notes)

    @contextlib.contextmanager
    def _metrics(self, step: int) -> Iterator[MetricsFile | None]:
        if not self.world.first:
            yield None
            return
        path = self.folder / "metrics.jsonl"
        cut_back(path, step)
        file = MetricsFile(path)
        try:
            yield file
        finally:
            file.close()

    def _save(self, loop: Loop) -> None:
        checkpoint = save_checkpoint(
            self.folder / "checkpoints",
            loop.course.step,
            trained_tensors(loop.model),
            loop.optimizer.state,
            {**loop.course.state(), "corpus": loop.plan.corpus},
            self.world,
        )
        self._log(
            "checkpoint",
            {
                "step": checkpoint.step,
                "files": {name: one["sha256"] for name, one in checkpoint.state["files"].items()},
            },
        )
        if self.world.first:
            prune(self.folder / "checkpoints", loop.plan.keep_every)

    def _finish(self, loop: Loop, notes: list[str]) -> RunResult:
        tensors = {name: full(one) for name, one in trained_tensors(loop.model).items()}
        if self.world.first:
            from madang.model.saving import save_weights

            path = self.folder / "weights.safetensors"
            save_weights(tensors, path)
            config = json.dumps(asdict(loop.plan.model_config()), indent=2)
            write_text(self.folder / "config.json", config + "\n")
            self._log("end", {"step": loop.course.step, "weights": sha256(path)})
        early = self.hooks.stop is not None and self.hooks.stop.is_set()
        state = self._say("finished", "it was ended early, with its decay" if early else "")
        wait_for_all(self.world)
        return _result(self.folder, loop, state, tuple(notes))

    def _end(self, kind: Any, detail: str) -> None:
        with contextlib.suppress(OSError):
            self._log("end", {"state": kind, "detail": detail})
        with contextlib.suppress(OSError):
            self._say(kind, detail)

    def _say(self, kind: Any, detail: str = "") -> RunState:
        ended = None if kind == "running" else now()
        state = RunState(kind, os.getpid(), detail, None, self.started, ended)
        if self.world.first:
            write_state(self.folder, state)
        return state

    def _write_plan(self, plan: Plan) -> None:
        if self.world.first:
            write_text(self.folder / "plan.json", plan.to_json())

    def _log_origin(self, plan: Plan) -> None:
        """Write down what the run is made from, once."""
        path = self.folder / "ledger.jsonl"
        if not self.world.first or (path.exists() and path.stat().st_size):
            return
        self._log("plan", {"sha256": sha256(self.folder / "plan.json")})
        self._log("corpus", {"fingerprint": plan.corpus, "replay": plan.replay})
        self._log("tokenizer", {"digest": plan.tokenizer})

    def _log(self, kind: str, fields: dict[str, Any]) -> None:
        if self.world.first:
            Ledger(self.folder / "ledger.jsonl").append(kind, fields)


def _sentence(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _result(folder: Path, loop: Loop, state: RunState, notes: tuple[str, ...]) -> RunResult:
    lines = read_metrics(folder) if loop.world.first else []
    evaluations = [line["evaluation"] for line in lines if "evaluation" in line]
    steps = [line for line in lines if "loss" in line]
    shares = [line["peak_share"] for line in steps if line["peak_share"] is not None]
    return RunResult(
        folder=folder,
        plan=loop.plan,
        state=state,
        steps=loop.course.step,
        seconds=loop.course.elapsed,
        tokens=loop.course.tokens,
        useful_tokens=loop.course.useful,
        loss=steps[-1]["loss"] if steps else None,
        before=evaluations[0] if evaluations else None,
        after=evaluations[-1] if evaluations else None,
        peak_share=sorted(shares)[len(shares) // 2] if shares else None,
        model=loop.model,
        notes=notes,
    )


def load_run_model(folder: Path, *, model: Transformer | None = None) -> Transformer:
    """Return the model that a run ended with, on the CPU, adapters in place and not merged.

    Where the run has not ended, its last whole checkpoint is taken. `model` takes the place of
    the base, as in `train`. Raises ValueError where there are no weights to load.
    """
    from madang.model.saving import load_weights

    plan = read_plan(folder)
    built = build_model(plan_for_loading(plan), World(), model)
    tensors = trained_tensors(built)
    path = folder / "weights.safetensors"
    if path.is_file():
        saved = load_weights(path)
        if set(saved) != set(tensors):
            raise ValueError(f"{path}: these are another model's weights")
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(saved[name])
        return built
    checkpoint, _ = last_whole(folder / "checkpoints")
    if checkpoint is None:
        raise ValueError(f"{folder}: this run has left no weights yet")
    load_into(checkpoint, tensors, None, World())
    return built


def plan_for_loading(plan: Plan) -> Plan:
    """Return the plan with which a model is only loaded, wherever it was trained."""
    from dataclasses import replace

    return replace(plan, device="cpu", compile=False)
