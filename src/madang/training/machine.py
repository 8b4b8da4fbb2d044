"""What this machine can do, measured in a few seconds."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from madang.training.batch import TrainingBatch

NARROW_WIDTH: Final = 128
"""Width of the model whose steps are measured."""
_NARROW_LAYERS: Final = 4
_NARROW_VOCABULARY: Final = 2048
_POST_TOKENS: Final = (16, 24, 32, 40, 56, 88, 144)
_NARROW_TOKENS: Final = 10 * sum(_POST_TOKENS)
_FEWEST_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Machine:
    """What a plan is derived from.

    `peak_flops` is the best float32 matrix product that was seen here, and `narrow_flops` what
    whole steps of a model of NARROW_WIDTH reach on posts, both in FLOP/s over all `threads`; what
    lies between them is the price of memory. `compiler` says whether torch.compile can work.
    """

    name: str
    device: str
    threads: int
    peak_flops: float
    narrow_flops: float
    memory_bytes: int
    compiler: bool


def measure_machine(seconds: float = 1.0, *, threads: int | None = None) -> Machine:
    """Measure for about `seconds` (at least one product of each size and a few steps are made).

    Products of 512 to 2048 are tried, because a machine's best size is not known beforehand; the
    best single one counts, since whatever else runs here only ever makes them slower. Of steps the
    median counts, as it does for a run.
    """
    import torch

    from madang.model.compiling import has_compiler

    cores = threads or max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        peak = _peak(torch, device, seconds / 2)
        narrow = _narrow(device, seconds / 2)
    finally:
        torch.set_num_threads(before)
    return Machine(
        name=torch.cuda.get_device_name() if device == "cuda" else _processor(),
        device=device,
        threads=cores,
        peak_flops=peak,
        narrow_flops=narrow,
        memory_bytes=_memory(),
        compiler=has_compiler(),
    )


def _peak(torch: Any, device: str, seconds: float) -> float:
    from madang.model.product import times_transposed

    best = 0.0
    sizes = (1024, 2048, 512) if device == "cpu" else (4096, 8192, 2048)
    for size in sizes:
        left = torch.ones(size, size, device=device) / size
        end = time.perf_counter() + seconds / len(sizes)
        times_transposed(left, left)
        while True:
            start = time.perf_counter()
            times_transposed(left, left)
            if device == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            best = max(best, 2 * size**3 / (now - start))
            if now >= end:
                break
    return best


def _narrow(device: str, seconds: float) -> float:
    from madang.training.building import build_model
    from madang.training.distributed import World
    from madang.training.loop import flops_of
    from madang.training.objective import next_token_loss
    from madang.training.optimizer import Optimizer, clip
    from madang.training.plan import Plan
    from madang.training.step import accumulate

    plan = Plan(
        vocabulary=_NARROW_VOCABULARY,
        width=NARROW_WIDTH,
        layers=_NARROW_LAYERS,
        heads=NARROW_WIDTH // 64,
        key_value_heads=NARROW_WIDTH // 64,
        hidden=3 * NARROW_WIDTH,
        steps=1,
        rows=8,
        length=_NARROW_TOKENS // 8,
        micro_rows=8,
        matrix_rate=0.02,
        embedding_rate=0.01,
        vector_rate=0.01,
        device=device,
    )
    world, batch = World(), _posts()
    model = build_model(plan, world)
    optimizer = Optimizer(model.named_parameters(), plan, world)
    times: list[float] = []
    end = 0.0
    # The first step, which makes what later ones find, is not counted.
    while len(times) <= _FEWEST_STEPS or time.perf_counter() < end:
        start = time.perf_counter()
        optimizer.clear()
        accumulate(model, next_token_loss, batch, 1, world)
        clip(optimizer.gradients(), plan.clip, world)
        optimizer.step(len(times), 1.0)
        times.append(time.perf_counter() - start)
        end = end or time.perf_counter() + seconds
    return flops_of(plan, batch) / statistics.median(times[1:])


def _posts() -> TrainingBatch:
    """Return a batch of documents as long as posts and their threads are."""
    import numpy as np

    from madang.training.batch import TrainingBatch

    lengths = np.tile(np.array(_POST_TOKENS, dtype=np.int32), _NARROW_TOKENS // sum(_POST_TOKENS))
    tokens = np.random.default_rng(0).integers(0, _NARROW_VOCABULARY, _NARROW_TOKENS + 1)
    return TrainingBatch(tokens[:-1], lengths, tokens[1:])


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and its control group."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        cores = min(cores, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return cores


def _memory() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
        memory = min(memory, int(limit))
    except (OSError, ValueError):
        pass
    return memory


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return name or platform.processor() or platform.machine()
