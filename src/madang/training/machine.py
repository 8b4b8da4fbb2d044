"""What this machine can do, measured in a few seconds."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Machine:
    """What a plan is derived from.

    `peak_flops` is the best float32 matrix product that was seen here, in FLOP/s, over all
    `threads`; `compiler` says whether torch.compile can work.
    """

    name: str
    device: str
    threads: int
    peak_flops: float
    memory_bytes: int
    compiler: bool

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def measure_machine(seconds: float = 1.0, *, threads: int | None = None) -> Machine:
    """Measure for about `seconds` (at least one product of each size is made).

    Products of 512 to 2048 are tried, because a machine's best size is not known beforehand; the
    best single one counts, since whatever else runs here only ever makes them slower.
    """
    import torch

    from madang.model.compiling import has_compiler

    cores = threads or max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        peak = _peak(torch, device, seconds)
    finally:
        torch.set_num_threads(before)
    return Machine(
        name=torch.cuda.get_device_name() if device == "cuda" else _processor(),
        device=device,
        threads=cores,
        peak_flops=peak,
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
