"""How sure a figure is: bootstrap over documents, Student's t over runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
_SEED: Final = 20_240_229
_GRID: Final = 200_001


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval; both ends are NaN where there is too little to tell."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The same figure over several runs.

    `deviation` is the sample's standard deviation, `interval` that of the mean by Student's t;
    both are NaN for a single run.
    """

    mean: float
    deviation: float
    interval: Interval
    runs: int


def bootstrap(
    documents: int,
    statistic: Callable[[NDArray[np.int64]], float],
    *,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the percentile interval of a statistic over resampled documents.

    `statistic` takes the indices of the documents drawn, with repetition [documents]. The draws
    depend on nothing but the number of documents. Efron and Tibshirani, An Introduction to the
    Bootstrap, chapter 13.
    """
    if documents < 2:
        return Interval(math.nan, math.nan)
    generator = np.random.default_rng(_SEED)
    drawn = [statistic(generator.integers(documents, size=documents)) for _ in range(resamples)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.asarray(drawn), (tail, 1 - tail))
    return Interval(float(low), float(high))


def spread(values: Sequence[float]) -> Spread:
    """Return mean, deviation and the 95 % interval of the mean. Raises ValueError for none."""
    if not values:
        raise ValueError("a spread needs the figure of at least one run")
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    if len(values) < 2:
        return Spread(mean, math.nan, Interval(math.nan, math.nan), len(values))
    deviation = float(array.std(ddof=1))
    half = student_quantile(len(values) - 1) * deviation / math.sqrt(len(values))
    return Spread(mean, deviation, Interval(mean - half, mean + half), len(values))


def student_quantile(freedom: int) -> float:
    """Return the two-sided 95 % quantile of Student's t with this many degrees of freedom.

    With t = √ν · tan θ, its density becomes cosᵛ⁻¹ θ, which is summed up by trapezoids.
    """
    theta = np.linspace(0.0, math.pi / 2, _GRID)
    density = np.cos(theta) ** (freedom - 1)
    mass = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    return math.sqrt(freedom) * math.tan(float(np.interp(CONFIDENCE, mass / mass[-1], theta)))
