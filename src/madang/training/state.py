"""The `state.json` of a run: whether it is running, and how it ended."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from madang.training.files import write_text

Kind = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class RunState:
    """`finished` has weights that are annealed; `stopped` can be resumed; `failed` says why."""

    state: Kind
    pid: int
    detail: str = ""
    release: str | None = None
    started: str | None = None
    ended: str | None = None


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_state(folder: Path, state: RunState) -> None:
    """Write `state.json` atomically."""
    write_text(folder / "state.json", json.dumps(asdict(state), ensure_ascii=False) + "\n")


def read_state(folder: Path) -> RunState:
    """Read `state.json`; a run whose process is gone without a word is `stopped`.

    Raises ValueError where it is not there or not one.
    """
    path = folder / "state.json"
    try:
        state = RunState(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: this is not a run's state ({error})") from error
    if state.state == "running" and not is_held(folder):
        return replace(state, state="stopped", detail="it ended without a word; resume it")
    return state


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep every other process from training in this folder; ValueError where one does."""
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"{folder}: another process is training this run") from error
        yield


def is_held(folder: Path) -> bool:
    """Return whether a process is training in this folder now."""
    try:
        with (folder / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
