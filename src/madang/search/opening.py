"""Opening the folder of an index: whole shards to write to, or the newest commits to read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from madang.search.shard import DamagedShardError, Shard, verify
from madang.search.state import State

STATE_FILE: Final = "state.json"
LOCK_FILE: Final = "writer.lock"

# The writer may replace a shard between a reader's look at the state and its opening of it.
_ATTEMPTS: Final = 20

_Stamp = tuple[int, int, int]


def load_state(folder: Path) -> tuple[State, str | None]:
    """Return the state of an index and what is wrong with it; an empty one where there is none."""
    try:
        return State.load(folder / STATE_FILE) or State(), None
    except FileNotFoundError:
        return State(), None
    except ValueError as error:
        return State(), str(error)


def open_whole_shards(folder: Path, state: State) -> tuple[dict[int, Shard], dict[int, str]]:
    """Open the shards of a state to write to them; return them, and what is wrong with others."""
    shards: dict[int, Shard] = {}
    damage: dict[int, str] = {}
    for number, name in sorted(state.shards.items()):
        try:
            verify(folder / name)
            shards[number] = Shard(number, folder / name)
        except DamagedShardError as error:
            damage[number] = str(error)
    return shards, damage


def remove_strangers(folder: Path, state: State) -> None:
    """Delete what a process that was killed left behind."""
    known = {*state.shards.values(), STATE_FILE, LOCK_FILE}
    for path in folder.iterdir():
        if path.name in known:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Commits:
    """What a reader has opened, and how to see that there is something newer."""

    state: State
    shards: Mapping[int, Shard]
    stamps: Mapping[Path, _Stamp | None]

    @property
    def are_newest(self) -> bool:
        """Whether no file that a commit changes has changed; a few system calls."""
        return all(_stamp(path) == stamp for path, stamp in self.stamps.items())


def open_commits(folder: Path, before: Commits | None) -> Commits | None:
    """Open what the writer has committed; none where it changes faster than it can be opened."""
    known = dict(before.shards) if before else {}
    for _ in range(_ATTEMPTS):
        stamps = {folder / STATE_FILE: _stamp(folder / STATE_FILE)}
        state, wrong = load_state(folder)
        shards: dict[int, Shard] = {}
        try:
            for number, name in state.shards.items():
                meta = folder / name / "meta.json"
                stamps[meta] = _stamp(meta)
                shard = known.get(number)
                if shard is None or shard.folder != folder / name:
                    shard = Shard(number, folder / name)
                else:
                    shard.refresh()
                shards[number] = shard
        except DamagedShardError:
            known.clear()
            continue
        if wrong is None:
            return Commits(state, shards, stamps)
    return None


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
