"""A model of two layers and a language that it can learn in a few dozen steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from madang.training.batch import IGNORED, TrainingBatch
from madang.training.plan import Plan

VOCABULARY = 61


def tiny_plan(**overrides: Any) -> Plan:
    values: dict[str, Any] = {
        "vocabulary": VOCABULARY,
        "width": 64,
        "layers": 2,
        "heads": 2,
        "key_value_heads": 1,
        "head_width": 32,
        "hidden": 128,
        "context": 128,
        "steps": 12,
        "rows": 4,
        "length": 32,
        "micro_rows": 1,
        "matrix_rate": 0.02,
        "embedding_rate": 0.01,
        "vector_rate": 0.01,
        "warm_up": 2,
        "threads": 1,
        "mkl_cbwr": "AVX2",
    }
    return Plan(**(values | overrides))


@dataclass(frozen=True)
class TinySource:
    """Documents of a language in which each token nearly decides the next: a function of the step.

    A row holds two documents, cut at a place that changes from row to row.
    """

    rows: int = 4
    length: int = 32
    seed: int = 0

    def batch(self, step: int) -> TrainingBatch:
        random = np.random.default_rng([self.seed, step])
        tokens = np.empty((self.rows, self.length + 1), dtype=np.int64)
        tokens[:, 0] = random.integers(VOCABULARY, size=self.rows)
        for column in range(self.length):
            noise = random.random(self.rows) < 0.1
            following = (tokens[:, column] * 7 + 3) % VOCABULARY
            tokens[:, column + 1] = np.where(noise, random.integers(VOCABULARY), following)
        targets = tokens[:, 1:].copy()
        cuts = random.integers(1, self.length, size=self.rows)
        targets[np.arange(self.rows), cuts - 1] = IGNORED
        lengths = np.stack([cuts, self.length - cuts], axis=1).reshape(-1)
        return TrainingBatch(
            tokens[:, :-1].reshape(-1),
            lengths.astype(np.int32),
            targets.reshape(-1),
            bytes=float(3 * self.rows * self.length),
        )
