"""Runs training in processes of its own: several ranks, or ones that are killed.

It is started with plain Python and forks before torch has threads, so that torch is imported once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny import TinySource, tiny_plan

from madang.model.transformer import Transformer
from madang.training.batch import TrainingBatch
from madang.training.metrics import read_metrics
from madang.training.run import resume, train


@dataclass(frozen=True)
class Cut:
    """A source that interrupts every rank when it is asked for one step."""

    source: TinySource
    at: int

    def batch(self, step: int) -> TrainingBatch:
        if step == self.at:
            raise KeyboardInterrupt
        return self.source.batch(step)


def ranks(size: int, work: Callable[[], Any]) -> None:
    """Do `work` in `size` processes that know of each other as torchrun would have it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(size):
        pid = os.fork()
        if pid == 0:
            os.environ |= {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            status = 1
            try:
                work()
                status = 0
            except KeyboardInterrupt:
                status = 0
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
        children.append(pid)
    if any(os.waitpid(pid, 0)[1] for pid in children):
        raise SystemExit("a rank has failed")


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder) if "loss" in line]


def agree(folder: Path) -> dict[str, Any]:
    """Train with 1, 2 and 4 ranks in both precisions."""
    found: dict[str, Any] = {}
    for precision, steps in (("float64", 50), ("float32", 10)):
        for size in (1, 2, 4):
            run = folder / f"{precision}-{size}"
            plan = tiny_plan(steps=steps, precision=precision, matrix_rate=0.01)
            ranks(size, lambda plan=plan, run=run: train(plan, TinySource(), run))
            found[run.name] = losses(run)
    for size in (1, 2):
        run = folder / f"adapters-{size}"
        ranks(size, lambda run=run: train_adapters(run))
        found[run.name] = losses(run)
    return found


def train_adapters(run: Path) -> None:
    """Train adapters on a base that is drawn, with weighted targets."""
    plan = tiny_plan(method="lora", base="drawn", precision="float64", matrix_rate=0.01)
    base = Transformer(plan.model_config())
    base.initialise(3)
    with torch.no_grad():
        for one in base.parameters():
            one.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    train(plan, Weighted(TinySource()), run, model=base)


@dataclass(frozen=True)
class Weighted:
    """A source whose targets do not count alike."""

    source: TinySource

    def batch(self, step: int) -> TrainingBatch:
        batch = self.source.batch(step)
        weights = np.linspace(0.5, 1.5, batch.positions).astype(np.float32)
        return replace(batch, weights=weights)


def change(folder: Path) -> dict[str, Any]:
    """Interrupt a run of some ranks and go on with others."""
    plan = tiny_plan(precision="float64", checkpoint_every=5)
    ranks(1, lambda: train(plan, TinySource(), folder / "whole"))
    found = {"whole": losses(folder / "whole")}
    for first, then in ((2, 1), (2, 4), (4, 2), (1, 2)):
        run = folder / f"{first}-{then}"
        ranks(first, lambda run=run: train(plan, Cut(TinySource(), 7), run))
        ranks(then, lambda run=run: resume(run, TinySource()))
        found[run.name] = losses(run)
    return found


class Killed:
    """A source whose process is killed at a random moment of its first five steps, surely."""

    def __init__(self, source: TinySource, delay: float) -> None:
        self.source = source
        self.delay = delay
        self.asked = 0

    def batch(self, step: int) -> TrainingBatch:
        if self.asked == 0:
            threading.Thread(target=self._kill, daemon=True).start()
        self.asked += 1
        if self.asked > 5:
            signal.pause()
        return self.source.batch(step)

    def _kill(self) -> None:
        time.sleep(self.delay)
        os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Path) -> dict[str, Any]:
    """Kill a run at random moments, then let it through; checkpoints are written all the time."""
    seed = int(time.time())
    chance = random.Random(seed)
    plan = tiny_plan(steps=40, checkpoint_every=1)
    start = time.monotonic()
    ranks(1, lambda: train(plan, TinySource(), folder / "whole"))
    five_steps = (time.monotonic() - start) / 8
    run, kills = folder / "killed", 0
    for attempt in range(7):
        source = (
            TinySource() if attempt == 6 else Killed(TinySource(), chance.uniform(0, five_steps))
        )
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                if (run / "plan.json").exists():
                    resume(run, source)
                else:
                    train(plan, source, run)
                status = 0
            except BaseException:
                traceback.print_exc()
            os._exit(status)
        ended = os.waitpid(pid, 0)[1]
        kills += os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
    return {"kills": kills, "seed": seed, "ended": ended}


if __name__ == "__main__":
    jobs = {"agree": agree, "change": change, "killed": killed}
    print(json.dumps(jobs[sys.argv[1]](Path(sys.argv[2]))))
