"""Holding still what bits depend on: threads, the matrix library's code path, algorithms."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from madang.training.plan import Plan

BEFORE_TORCH: Final = {"MKL_CBWR": "AVX2", "OMP_WAIT_POLICY": "PASSIVE"}
"""What a process that trains needs in its environment before it imports torch.

MKL otherwise picks its instructions by the processor it finds (Intel, "Conditional Numerical
Reproducibility"). OpenMP's threads otherwise wait for each other in a loop that burns their time:
where other programs want the cores too, a step of a small model then took ten times as long.
"""


def prepare_process() -> None:
    """Set what BEFORE_TORCH says and is not set yet.

    Once torch is there it is too late, and nothing is set: MKL may have chosen its instructions
    already, and `pin` then says what to do.
    """
    if "torch" in sys.modules:
        return
    for name, value in BEFORE_TORCH.items():
        os.environ.setdefault(name, value)


def pinned_environment(plan: Plan) -> dict[str, str]:
    """Return the variables with which a process replays a plan, set before it imports torch."""
    threads = str(plan.threads)
    own = {"MKL_CBWR": plan.mkl_cbwr, "MKL_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    return BEFORE_TORCH | own


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
