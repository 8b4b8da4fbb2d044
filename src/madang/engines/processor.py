"""What this machine's processor can do."""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path
from typing import Final

from madang.engines.engine import EngineError

# What the x86-64 builds of llama.cpp that Madang installs are compiled for.
_NEEDED: Final = frozenset({"avx2", "fma", "f16c", "bmi2"})


def check_processor(
    cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = platform.machine()
) -> None:
    """Raise EngineError where the processor lacks the instructions that llama.cpp needs.

    Where the processor does not say what it has, it is taken to have them.
    """
    if machine.lower() not in ("x86_64", "amd64"):
        return
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), None)
    if flags is None:
        return
    missing = sorted(_NEEDED - set(flags.split()))
    if missing:
        raise EngineError(
            f"this processor has no {', '.join(missing).upper()}, which the embedded model needs; "
            "answers will be quoted from posts, or give the URL of a server as the model"
        )


def usable_cores(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores this process may use, by its affinity and its control group."""
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text(encoding="ascii").split()
        cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return cores
