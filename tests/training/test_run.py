"""A run from its plan to its weights, stopped, failed and resumed."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from tiny import TinySource, tiny_plan

from madang.training.batch import TrainingBatch
from madang.training.files import sha256
from madang.training.health import TrainingFailedError
from madang.training.ledger import verify
from madang.training.loop import Hooks
from madang.training.metrics import read_metrics
from madang.training.plan import read_plan
from madang.training.progress import Progress, describe
from madang.training.run import load_run_model, resume, train
from madang.training.state import read_state


def test_a_run_learns_and_leaves_everything_it_promises(tmp_path: Path) -> None:
    seen: list[Progress] = []
    hooks = Hooks(
        evaluate=lambda model: {"future": float(model.norm.weight.detach().sum()), "general": None},
        progress=seen.append,
    )
    plan = tiny_plan(steps=60, checkpoint_every=25, peak_flops=1e12, corpus="abc", tokenizer="def")
    result = train(plan, TinySource(), tmp_path / "run", hooks=hooks)

    assert result.state.state == "finished"
    assert result.steps == 60
    assert result.before == {"future": 64.0, "general": None}
    assert result.after is not None
    assert result.after != result.before
    lines = [line for line in read_metrics(tmp_path / "run") if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, 61))
    assert lines[0]["loss"] == pytest.approx(math.log(61), rel=0.05)
    assert lines[-1]["loss"] < 2
    assert {line["phase"] for line in lines} == {"warm-up", "stable", "decay"}
    trained = TinySource().batch(0).count
    assert lines[0]["bits_per_byte"] == pytest.approx(
        lines[0]["loss"] * trained / math.log(2) / (3 * 128), rel=1e-6
    )
    assert lines[-1]["useful_tokens"] == 60 * 128
    assert 0 < lines[0]["peak_share"] < 1
    assert [one.step for one in seen] == list(range(1, 61))
    assert "loss" in describe(seen[-1])
    saved = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert saved == ["step-00000050", "step-00000060"]
    kinds = [line["kind"] for line in verify(tmp_path / "run" / "ledger.jsonl")]
    assert kinds == ["plan", "corpus", "tokenizer", "start", *["checkpoint"] * 3, "end"]
    assert verify(tmp_path / "run" / "ledger.jsonl")[-1]["weights"] == sha256(
        tmp_path / "run" / "weights.safetensors"
    )
    plan = read_plan(tmp_path / "run")
    assert (plan.decay_start, plan.last_step) == (36, 60)

    again = load_run_model(tmp_path / "run")
    for (name, one), (_, other) in zip(
        again.named_parameters(), result.model.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name


def test_the_same_plan_gives_the_same_bits_however_it_is_looked_at(tmp_path: Path) -> None:
    first = train(tiny_plan(), TinySource(), tmp_path / "one")
    hooks = Hooks(evaluate=lambda _: {"future": 1.0}, sample=lambda _: "text")
    plan = tiny_plan(evaluate_every=3, sample_every=2, checkpoint_every=5, keep_every=5)
    second = train(plan, TinySource(), tmp_path / "two", hooks=hooks)
    assert weights(first.folder) == weights(second.folder)
    samples = [line["sample"] for line in read_metrics(second.folder) if "sample" in line]
    assert samples == ["text"] * 5


def test_micro_batches_change_nothing_but_rounding(tmp_path: Path) -> None:
    losses = []
    for micro_rows in (1, 2, 4):
        plan = tiny_plan(micro_rows=micro_rows, precision="float64")
        train(plan, TinySource(), tmp_path / str(micro_rows))
        lines = read_metrics(tmp_path / str(micro_rows))
        losses.append([line["loss"] for line in lines])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] == pytest.approx(losses[2], rel=1e-6)


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = train(tiny_plan(), TinySource(), tmp_path / "whole")

    def interrupt(progress: Progress) -> None:
        if progress.step == 8:
            raise KeyboardInterrupt

    plan = tiny_plan(checkpoint_every=5)
    with pytest.raises(KeyboardInterrupt):
        train(plan, TinySource(), tmp_path / "cut", hooks=Hooks(progress=interrupt))
    assert read_state(tmp_path / "cut").state == "stopped"
    resumed = resume(tmp_path / "cut", TinySource())
    assert resumed.state.state == "finished"
    assert weights(whole.folder) == weights(resumed.folder)
    assert [line["step"] for line in read_metrics(resumed.folder)] == list(range(1, 13))
    kinds = [line["kind"] for line in verify(resumed.folder / "ledger.jsonl")]
    assert kinds[4:] == ["checkpoint", "end", "resume", "checkpoint", "checkpoint", "end"]
    with pytest.raises(ValueError, match="finished"):
        resume(tmp_path / "cut", TinySource())


def test_a_corrupt_checkpoint_is_skipped_and_said(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 11:
            raise KeyboardInterrupt

    whole = train(tiny_plan(), TinySource(), tmp_path / "whole")
    plan = tiny_plan(checkpoint_every=5)
    with pytest.raises(KeyboardInterrupt):
        train(plan, TinySource(), tmp_path / "cut", hooks=Hooks(progress=interrupt))
    path = tmp_path / "cut" / "checkpoints" / "step-00000010" / "optimizer.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    resumed = resume(tmp_path / "cut", TinySource())
    assert len(resumed.notes) == 1
    assert "step 10 is skipped" in resumed.notes[0]
    assert "optimizer.safetensors has changed" in resumed.notes[0]
    assert weights(whole.folder) == weights(resumed.folder)


def test_when_told_to_stop_it_decays_and_ends_usable(tmp_path: Path) -> None:
    stop = threading.Event()

    def progress(progress: Progress) -> None:
        if progress.step == 30:
            stop.set()

    plan = tiny_plan(steps=1000)
    result = train(plan, TinySource(), tmp_path, hooks=Hooks(progress=progress, stop=stop))
    assert result.state.state == "finished"
    assert "early" in result.state.detail
    assert 30 < result.steps <= 40
    lines = read_metrics(tmp_path)
    assert lines[-1]["learning_rate"] < 0.3 * plan.matrix_rate
    assert lines[29]["learning_rate"] == plan.matrix_rate
    # What the person decided can be replayed from the plan alone.
    replayed = train(read_plan(tmp_path), TinySource(), tmp_path / "again")
    assert weights(replayed.folder) == weights(tmp_path)


@dataclass
class Clock:
    """A clock that moves when something is done, and the machine that it belongs to."""

    now: float = 100.0
    seconds_a_step: float = 0.5
    first: float = 15.0
    steps: int = 0

    def __call__(self) -> float:
        return self.now

    def batch(self, step: int) -> TrainingBatch:
        # The first step compiles, and the machine slows down by half on the way.
        self.now += self.first if self.steps == 0 else 0.0
        self.steps += 1
        self.now += self.seconds_a_step * (1 + step / 200)
        return TinySource().batch(step)

    def evaluate(self, model: object) -> dict[str, float | None]:
        self.now += 1.5
        return {"future": 1.0}


def test_the_dial_ends_on_time_with_everything_in_it(tmp_path: Path) -> None:
    clock = Clock()
    hooks = Hooks(evaluate=clock.evaluate, clock=clock)
    plan = tiny_plan(steps=None, minutes=1.0, reserve_seconds=3.0)
    result = train(plan, clock, tmp_path / "run", hooks=hooks)
    assert clock.now - 100.0 + 3.0 == pytest.approx(60, rel=0.05)
    assert result.plan.decays
    assert read_plan(tmp_path / "run") == result.plan
    evaluations = [line for line in read_metrics(tmp_path / "run") if "evaluation" in line]
    assert 3 <= len(evaluations) <= 5
    # Without a clock, the plan that it left gives the same weights.
    replayed = train(result.plan, TinySource(), tmp_path / "again")
    assert weights(replayed.folder) == weights(tmp_path / "run")


def test_a_run_that_a_clock_ends_goes_on_with_the_time_that_is_left(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 40:
            raise KeyboardInterrupt

    clock = Clock()
    plan = tiny_plan(steps=None, minutes=1.0, checkpoint_every=10)
    with pytest.raises(KeyboardInterrupt):
        train(plan, clock, tmp_path, hooks=Hooks(clock=clock, progress=interrupt))
    spent = clock.now - 100.0
    clock = Clock(first=3.0)
    resume(tmp_path, clock, hooks=Hooks(clock=clock))
    lost = 10 * 0.5 * 1.18  # The steps since the last checkpoint are made again.
    assert spent + clock.now - 100.0 == pytest.approx(60 + lost, rel=0.05)
    last, decay = (getattr(read_plan(tmp_path), name) for name in ("last_step", "decay_start"))
    assert decay > 40
    assert 0.3 < (last - decay) / last < 0.5


def test_a_loss_that_is_not_finite_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    def spoil(progress: Progress) -> None:
        if progress.step == 7:
            with torch.no_grad():
                models[0].norm.weight.fill_(float("nan"))

    models = []
    hooks = Hooks(evaluate=lambda model: models.append(model) or {"future": None}, progress=spoil)
    plan = tiny_plan(checkpoint_every=5)
    with pytest.raises(TrainingFailedError, match="step 7 is not a finite number"):
        train(plan, TinySource(), tmp_path, hooks=hooks)
    state = read_state(tmp_path)
    assert state.state == "failed"
    assert "finite" in state.detail
    assert not (tmp_path / "weights.safetensors").exists()
    assert (tmp_path / "checkpoints" / "step-00000005").is_dir()


def test_a_loss_that_does_not_fall_ends_the_run(tmp_path: Path) -> None:
    plan = tiny_plan(steps=300, matrix_rate=30.0, embedding_rate=30.0, vector_rate=30.0, clip=0.0)
    with pytest.raises(TrainingFailedError, match=r"does not fall|finite"):
        train(plan, TinySource(), tmp_path)
    assert read_state(tmp_path).state == "failed"


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    train(tiny_plan(steps=2), TinySource(), tmp_path)
    with pytest.raises(ValueError, match="a run here already"):
        train(tiny_plan(steps=2), TinySource(), tmp_path)


def test_adapters_are_trained_and_nothing_else(tmp_path: Path) -> None:
    base = train(tiny_plan(steps=30), TinySource(), tmp_path / "base").model
    before = {name: one.clone() for name, one in base.named_parameters()}
    plan = tiny_plan(method="lora", base="given", steps=20, matrix_rate=0.01, checkpoint_every=10)
    result = train(plan, TinySource(seed=1), tmp_path / "lora", model=base)
    for name, one in base.named_parameters():
        assert one.requires_grad == ("lora" in name)
        if not one.requires_grad:
            assert torch.equal(one, before[name])
    assert result.loss is not None
    lines = read_metrics(result.folder)
    assert lines[-1]["loss"] < lines[0]["loss"]
    state = json.loads((result.folder / "state.json").read_text())
    assert state["state"] == "finished"


def weights(folder: Path) -> str:
    return sha256(folder / "weights.safetensors")


def test_a_plan_of_another_base_is_refused(tmp_path: Path) -> None:
    base = train(tiny_plan(steps=2), TinySource(), tmp_path / "base").model
    with pytest.raises(ValueError, match="says width 128 and the base has 64"):
        plan = replace(tiny_plan(), width=128, base="given")
        train(plan, TinySource(), tmp_path / "other", model=base)


def test_a_plan_with_a_compiler_is_refused_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"made with a C\+\+ compiler and there is none here"):
        train(tiny_plan(compile=True), TinySource(), tmp_path)


def test_a_plan_for_another_code_path_is_refused(tmp_path: Path) -> None:
    plan = tiny_plan(mkl_cbwr="COMPATIBLE")
    with pytest.raises(ValueError, match="set it in the environment before Python starts"):
        train(plan, TinySource(), tmp_path)
