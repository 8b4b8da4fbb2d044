"""What a plan is derived from, and how long what follows the run will take."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from madang.corpus.curated import Curated
    from madang.training.plan import Plan

MEASURING_SECONDS: Final = 2.0
# Seconds that publishing takes: a little for each format, and some for each million weights; the
# latter in proportion more on a processor whose matrix products reach less than so many FLOP/s, the
# former, which is programs that start, by the square root of it (at 87e9: 20 s and 168 s in all for
# 0.4 and 135 million weights).
_FORMAT_SECONDS: Final = 2.4
_MILLION_SECONDS: Final = 0.06
_PUBLISHED_AT: Final = 350e9
_ALL_FORMATS: Final = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to learn from: UTF-8 bytes, in all and by language."""

    train_bytes: int
    languages: Mapping[str, int]

    @classmethod
    def of(cls, curated: Curated | None, data: Path | None) -> Facts:
        """Count what a run would learn from."""
        if curated is None:
            return cls(data.stat().st_size if data is not None else 0, {})
        languages = curated.training_bytes()
        return cls(sum(languages.values()), languages)


def derive(
    facts: Facts, minutes: float | None, steps: int | None, given: Mapping[str, Any]
) -> Plan:
    """Measure the machine and derive a plan; `given` are fields that are set by hand."""
    from madang.training.deriving import derive_plan
    from madang.training.machine import measure_machine

    machine = measure_machine(MEASURING_SECONDS, threads=given.get("threads"))
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    return derive_plan(machine, facts, minutes, given, steps=steps, ranks=ranks)


def publishing_seconds(plan: Plan, formats: tuple[str, ...] | None) -> float:
    """Return about how long exporting and proving take."""
    count = len(formats) if formats else _ALL_FORMATS
    millions = plan.model_config().parameters() / 1e6
    peak = plan.peak_flops if plan.device == "cpu" else 0.0
    slower = max(1.0, _PUBLISHED_AT / peak) if peak > 0 else 1.0
    return count * (math.sqrt(slower) * _FORMAT_SECONDS + slower * _MILLION_SECONDS * millions)
