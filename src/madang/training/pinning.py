"""Holding still what bits depend on: threads, the matrix library's code path, algorithms."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any, Final

from madang.training.plan import Plan

BEFORE_TORCH: Final = {"MKL_CBWR": "AVX2", "GOMP_SPINCOUNT": "10000"}
"""What a process that trains needs in its environment before it imports torch.

MKL otherwise picks its instructions by the processor it finds (Intel, "Conditional Numerical
Reproducibility"). OpenMP's threads wait for each other in a loop: where other programs want the
cores too, the usual 300,000 turns of it hold up a small model up to thirty times; none at all cost
a tenth to a fifth where nobody else wants them.
"""

# From glibc's malloc.h, and what they are set to: nothing is trimmed, and what has less than a
# gigabyte is not mapped by itself.
_MALLOC: Final = {"M_TRIM_THRESHOLD": (-1, -1), "M_MMAP_THRESHOLD": (-3, 1 << 30)}


def prepare_process() -> None:
    """Set what BEFORE_TORCH says and is not set yet, and keep memory that is freed.

    Once torch is there it is too late, and nothing is set: MKL may have chosen its instructions
    already, and `pin` then says what to do.
    """
    if "torch" in sys.modules:
        return
    for name, value in BEFORE_TORCH.items():
        os.environ.setdefault(name, value)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next step, instead of asking the system for it anew.

    Each page that comes from the system costs a microsecond and more; a step of a hundred million
    weights asked for a hundred thousand.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOC.values():
            mallopt(parameter, value)


def pin(plan: Plan) -> None:
    """Hold this process to the plan; raises ValueError where it was started without that.

    Only `MKL_CBWR` cannot be set any more once MKL has run: it must have been in the environment.
    """
    import torch

    if plan.device == "cpu" and torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        found = os.environ.get("MKL_CBWR", "")
        if found != plan.mkl_cbwr:
            raise ValueError(
                f"the plan was made for MKL_CBWR={plan.mkl_cbwr} and this process runs with "
                f"{found or 'none'}; set it in the environment before Python starts"
            )
    torch.set_num_threads(plan.threads)
    torch.use_deterministic_algorithms(True, warn_only=plan.device != "cpu")
    # It would fill every new tensor with NaN first, to show up reads of what was never written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def restore(before: dict[str, Any]) -> None:
    """Undo what `pin` changed in this process, as `unpinned` recorded it."""
    import torch

    torch.set_num_threads(before["threads"])
    torch.use_deterministic_algorithms(before["deterministic"])
    torch.utils.deterministic.fill_uninitialized_memory = before["filled"]  # type: ignore[attr-defined]


def unpinned() -> dict[str, Any]:
    """Return what `pin` is about to change, for `restore`."""
    import torch

    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "filled": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    }
