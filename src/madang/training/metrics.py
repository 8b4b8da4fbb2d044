"""A run's figures as JSON lines, one a step, and evaluations and samples between them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from madang.training.files import said_plainly

FLUSH_SECONDS: Final = 1.0
_DIGITS: Final = 12


@dataclass(slots=True)
class MetricsFile:
    """The open `metrics.jsonl` of a run; lines reach the disk within about a second."""

    path: Path
    _file: TextIO = field(init=False)
    _flushed: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._file = self.path.open("a", encoding="utf-8")

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line; numbers are written with twelve significant digits."""
        with said_plainly(self.path):
            rounded = {key: _round(value) for key, value in line.items()}
            self._file.write(json.dumps(rounded, ensure_ascii=False) + "\n")
            now = time.monotonic()
            if now - self._flushed >= FLUSH_SECONDS:
                self._file.flush()
                self._flushed = now

    def flush(self) -> None:
        """Hand everything to the operating system."""
        with said_plainly(self.path):
            self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        with said_plainly(self.path):
            self._file.close()


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _round(one) for key, one in value.items()}
    return value


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's folder or of its `metrics.jsonl`; a torn last line is left out.

    Raises ValueError where another line is not JSON.
    """
    path = path / "metrics.jsonl" if path.is_dir() else path
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    raw = path.read_text("utf-8", "replace").split("\n")
    for number, text in enumerate(raw[:-1], 1):
        try:
            lines.append(json.loads(text))
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is not JSON") from error
    return lines


def cut_back(path: Path, step: int) -> None:
    """Drop the lines after `step`, which a resumed run is about to write again."""
    if path.is_file():
        kept = [line for line in read_metrics(path) if line.get("step", 0) <= step]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
        temporary = path.with_suffix(".part")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
