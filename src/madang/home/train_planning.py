"""What a plan is derived from, and how long what follows the run will take."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from madang.corpus.curated import Curated
    from madang.home.train_options import TrainOptions
    from madang.training.plan import Plan

MEASURING_SECONDS: Final = 2.0
# Proving a format starts a program that reads the model, which takes so many times as long as
# importing PyTorch did, on slow machines and on quick ones; at least a second is reckoned for that.
_FORMAT_IMPORTS: Final = 2.4
_LEAST_IMPORT: Final = 1.0
# About as long as a format takes what a person waits for beside: until the command has begun, and
# once it has said what it did.
_COMMAND_SHARE: Final = 0.9
# Seconds for each million weights and format; in proportion more on a processor whose matrix
# products reach less than so many FLOP/s.
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


def import_seconds() -> float:
    """Import PyTorch and return how long that took; next to nothing where it was there already."""
    began = time.perf_counter()
    import torch  # noqa: F401 - what it is needed for comes later

    return time.perf_counter() - began


def seconds_beside(plan: Plan, options: TrainOptions, importing: float) -> float:
    """Return about how long the command takes beside preparing and training.

    That is exporting and proving what is to be published, starting, and ending; `importing` is
    `import_seconds` of this process.
    """
    formats = len(options.formats or ()) or _ALL_FORMATS if options.publish else 0
    millions = plan.model_config().parameters() / 1e6
    peak = plan.peak_flops if plan.device == "cpu" else 0.0
    slower = max(1.0, _PUBLISHED_AT / peak) if peak > 0 else 1.0
    starting = (formats + _COMMAND_SHARE) * _FORMAT_IMPORTS * max(_LEAST_IMPORT, importing)
    return starting + formats * slower * _MILLION_SECONDS * millions
