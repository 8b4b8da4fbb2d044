"""What a release must hold to, format by format, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["at most", "at least"]

# Natural logarithms. transformers reckons in float64 but for its norms, llama.cpp in float32.
SAFETENSORS_DIFFERENCE: Final = 1e-4
F32_DIFFERENCE: Final = 1e-3
F16_KL: Final = 1e-5
Q8_0_KL: Final = 1e-3
Q8_0_TOP_1: Final = 0.99
# How many times its bound the divergence of a rounded format may be and still be rounding. Small
# models feel it most: q8_0 moves SmolLM2-135M by 5 times the bound, a wrong file by thousands.
ROUNDING: Final = 20.0
# A place where two tokens are as good as equally likely has no best one: which of them comes first
# there is decided by roundings, so it says nothing about an export. 5 % in probability.
TIE: Final = 0.05
# Below this, llama.cpp's float32 probabilities lose their last digits, and then vanish.
_FLOOR: Final = -80.0


@dataclass(frozen=True, slots=True)
class Check:
    """One promise about one format: `value` is `rule` `bound`, over `compared` cases.

    A value that is not a number keeps no promise.
    """

    name: str
    value: float
    rule: Rule
    bound: float
    compared: int
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Return whether the promise is kept."""
        if self.rule == "at most":
            return bool(self.value <= self.bound)
        return bool(self.value >= self.bound)

    @property
    def is_rounding(self) -> bool:
        """Return whether a promise that is not kept is one that coarser numbers can break.

        Then the format is what it should be, and too coarse for this model.
        """
        kind = self.name.rpartition("/")[2]
        return kind == "top_1" or (kind == "mean_kl" and self.value <= ROUNDING * self.bound)

    def sentence(self) -> str:
        """Return what was found and what was promised, without a full stop."""
        detail = f" ({self.detail})" if self.detail else ""
        if self.name.endswith("/loads"):
            return f"{self.name} {'holds' if self.ok else 'failed'}{detail}"
        return (
            f"{self.name} is {self.value:.6g} over {self.compared:,} compared, "
            f"and must be {self.rule} {self.bound:g}{detail}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, without its name; a value that is no number is null."""
        fields: dict[str, Any] = {
            "ok": self.ok,
            "value": self.value if np.isfinite(self.value) else None,
            "rule": self.rule,
            "bound": self.bound,
            "compared": self.compared,
        }
        return fields | ({"detail": self.detail} if self.detail else {})

    @classmethod
    def from_json(cls, name: str, value: Mapping[str, Any]) -> Check:
        """Read what `to_json` wrote. Raises ValueError where it is something else."""
        number = value.get("value")
        number = float("nan") if number is None else number
        bound, compared = value.get("bound"), value.get("compared")
        rule, detail = value.get("rule"), value.get("detail", "")
        if (
            not _is_number(number)
            or not _is_number(bound)
            or not isinstance(compared, int)
            or rule not in ("at most", "at least")
            or not isinstance(detail, str)
        ):
            raise ValueError(f"the check {name!r} is not one")
        assert bound is not None
        check = cls(name, float(number), rule, float(bound), compared, detail)
        if check.ok != value.get("ok"):
            raise ValueError(f"the check {name!r} says of itself what its value does not")
        return check


def difference(
    name: str, ours: NDArray[np.float32], theirs: NDArray[np.float32], bound: float
) -> Check:
    """Return the check of the largest difference of log-probabilities, [places, vocabulary]."""
    gap = np.abs(np.maximum(ours, _FLOOR) - np.maximum(theirs, _FLOOR))
    return Check(name, float(gap.max()), "at most", bound, len(ours))


def mean_kl(
    name: str, ours: NDArray[np.float32], theirs: NDArray[np.float32], bound: float
) -> Check:
    """Return the check of the mean Kullback–Leibler divergence of theirs from ours, in nats."""
    p, q = ours.astype(np.float64), theirs.astype(np.float64)
    # Where a program rounds a probability to nothing, ours is as good as nothing too.
    divergence = (np.exp(p) * (p - np.maximum(q, _FLOOR * 2))).sum(axis=1)
    return Check(name, float(divergence.mean()), "at most", bound, len(ours))


def top_1(name: str, ours: NDArray[np.float32], best: NDArray[np.int64], bound: float) -> Check:
    """Return the check of how often the best token is the same, where there is no tie.

    `best` is [places]; a place where our two best tokens are within `TIE` is not compared. The
    detail gives the share with ties counted as differences.
    """
    second, first = np.sort(ours, axis=1)[:, -2:].T
    same = ours.argmax(axis=1) == best
    decided = first - second > TIE
    value = float(same[decided].mean()) if decided.any() else float("nan")
    detail = f"{same.mean():.4f} of all {len(best):,}, ties among them"
    return Check(name, value, "at least", bound, int(decided.sum()), detail)


def all_equal(
    name: str, ours: Sequence[object], theirs: Sequence[object], shown: Sequence[str] | None = None
) -> Check:
    """Return the check that two lists are the same; its value counts what differs."""
    assert len(ours) == len(theirs)
    wrong = [i for i, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other]
    detail = f"the first is {shown[wrong[0]][:60]!r}" if wrong and shown else ""
    return Check(name, float(len(wrong)), "at most", 0.0, len(ours), detail)


def not_loaded(name: str, reason: str) -> Check:
    """Return the check of a format that could not be read at all."""
    return Check(name, 0.0, "at least", 1.0, 1, reason)


def loaded(name: str) -> Check:
    """Return the check of a format that could be read."""
    return Check(name, 1.0, "at least", 1.0, 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
