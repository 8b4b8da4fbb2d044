"""Runs as they lie on disk, read without anything that trains: for the page and for programs.

A run that is under way is read the same way as one that has ended: its files only grow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

MOST_POINTS: Final = 160
_NAME: Final = re.compile(r"[\w][\w.+-]{0,127}")
_POINT: Final = ("step", "seconds", "tokens", "loss", "bits_per_byte", "tokens_per_second")
_MEANS: Final = ("loss", "bits_per_byte", "tokens_per_second")


@dataclass(frozen=True, slots=True)
class Curve:
    """How a run went: points over its time, measurements on the way, the newest sample."""

    points: tuple[Mapping[str, Any], ...] = ()
    evaluations: tuple[Mapping[str, Any], ...] = ()
    last: Mapping[str, Any] | None = None
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class RunFiles:
    """One run's folder, and what its `plan.json` and `state.json` say."""

    folder: Path
    plan: Mapping[str, Any]
    state: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def status(self) -> str:
        """`running`, `finished`, `stopped` (also where its process is gone) or `failed`."""
        said = str(self.state.get("state") or "stopped")
        if said == "running" and not _is_alive(self.state.get("pid")):
            return "stopped"
        return said

    def curve(self) -> Curve:
        """Return how it went so far."""
        return read_curve(self.folder / "metrics.jsonl")

    def summary(self) -> dict[str, Any]:
        """Return what a list of runs shows of it."""
        plan, state = self.plan, self.state
        return {
            "run": self.name,
            "state": self.status,
            "detail": state.get("detail") or None,
            "started": state.get("started"),
            "ended": state.get("ended"),
            "release": state.get("release"),
            "base": base_name(plan.get("base")),
            "method": plan.get("method"),
            "objective": plan.get("objective"),
            "minutes": plan.get("minutes"),
            "seed": plan.get("seed"),
        }


def run_files(runs: Path) -> list[RunFiles]:
    """Return the runs of a folder, newest first."""
    try:
        names = [path.name for path in runs.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [one for one in (read_run(runs, name) for name in names) if one is not None]
    return sorted(found, key=lambda one: (str(one.state.get("started") or ""), one.name))[::-1]


def read_run(runs: Path, name: str) -> RunFiles | None:
    """Return the run of that name, or none; a name is one part of a path and no more."""
    folder = runs / name
    if not _NAME.fullmatch(name) or not folder.is_dir():
        return None
    plan, state = _object(folder / "plan.json"), _object(folder / "state.json")
    return RunFiles(folder, plan, state) if plan or state else None


def read_curve(metrics: Path) -> Curve:
    """Read a run's metrics; a line that is not whole yet is left for the next time."""
    try:
        content = metrics.read_bytes()
    except OSError:
        return Curve()
    steps: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    sample = None
    for line in content.splitlines(keepends=True):
        entry = _entry(line)
        if entry is None:
            continue
        if isinstance(entry.get("evaluation"), dict):
            when = {name: entry.get(name) for name in ("step", "seconds")}
            evaluations.append({**when, **entry["evaluation"]})
        if isinstance(entry.get("sample"), str):
            sample = entry["sample"]
        if isinstance(entry.get("loss"), int | float):
            steps.append(entry)
    points = tuple(_thinned(steps, MOST_POINTS))
    return Curve(points, tuple(evaluations), steps[-1] if steps else None, sample)


def base_name(base: object) -> str:
    """Return what people call the model that a run started from."""
    return Path(str(base)).name if base else "scratch"


def _thinned(steps: list[dict[str, Any]], most: int) -> Iterable[dict[str, Any]]:
    """Yield at most `most` points; each stands for as many steps, with the means of their values.

    The mean is over steps, which all have about the same number of tokens.
    """
    count = min(most, len(steps))
    for number in range(count):
        part = steps[number * len(steps) // count : (number + 1) * len(steps) // count]
        point = {name: part[-1].get(name) for name in _POINT}
        for name in _MEANS:
            values = [one[name] for one in part if isinstance(one.get(name), int | float)]
            point[name] = round(sum(values) / len(values), 5) if values else None
        yield point


def _entry(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = orjson.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _object(path: Path) -> dict[str, Any]:
    try:
        data = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_alive(process: object) -> bool:
    if not isinstance(process, int) or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
