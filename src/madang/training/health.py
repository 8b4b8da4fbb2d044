"""Noticing a run that is not learning, before it leaves a model that is silently garbage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_SMOOTHING: Final = 0.95
_PATIENCE: Final = 100
# A base is near its optimum already, so its loss may hover; from scratch it falls in any case.
_ALLOWED_RISE_OF_A_BASE: Final = 1.0


class TrainingFailedError(RuntimeError):
    """A run was ended because its loss is not finite or does not fall; one sentence says so."""


@dataclass(slots=True)
class Health:
    """The losses so far, smoothed; `first` is the one before anything was learned."""

    from_scratch: bool
    warm_up: int
    first: float | None = None
    smooth: float = 0.0
    seen: int = 0

    def check(self, step: int, loss: float, norm: float) -> None:
        """Take in the loss and the gradient's norm of `step`, before any weight is moved by it.

        Raises TrainingFailedError.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = "loss" if not math.isfinite(loss) else "gradient"
            raise TrainingFailedError(
                f"the {what} of step {step} is not a finite number; lower the learning rates "
                "(--learning-rate) and train again; the checkpoints before it are whole"
            )
        if self.first is None:
            self.first = self.smooth = loss
        self.seen += 1
        weight = min(_SMOOTHING, 1 - 1 / self.seen)
        self.smooth = weight * self.smooth + (1 - weight) * loss
        allowed = self.first if self.from_scratch else self.first + _ALLOWED_RISE_OF_A_BASE
        if self.seen >= self.warm_up + _PATIENCE and self.smooth >= allowed:
            raise TrainingFailedError(
                f"after {self.seen} steps the loss is {self.smooth:.3f} and began at "
                f"{self.first:.3f}: it does not fall; lower the learning rates (--learning-rate) "
                "or look at the posts (--dry-run says what they are)"
            )

    def state(self) -> dict[str, float | int | None]:
        """Return what a resumed run needs to go on."""
        return {"first": self.first, "smooth": self.smooth, "seen": self.seen}

    def load(self, state: dict[str, float | int | None]) -> None:
        """Go on from a saved state."""
        self.first = state["first"]
        self.smooth = float(state["smooth"] or 0.0)
        self.seen = int(state["seen"] or 0)
