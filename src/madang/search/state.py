"""What the index folder remembers between runs: its shards, and how far it has read."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from madang.text import TERMS_VERSION

FORMAT: Final = 1
SHARD_SIZE: Final = 131_072
"""Keys in one shard; it bounds what one erasure makes the index write again."""


@dataclass(slots=True)
class State:
    """The shards by number, and the sequence number up to which all of them follow the log.

    `dirty` are shards whose files may still hold terms of erased posts; `lost` are shards that
    were damaged and must be written again.
    """

    cursor: int = 0
    shards: dict[int, str] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)

    def save(self, path: Path) -> None:
        """Write the state so that a crash leaves the old one or the new one."""
        data = {
            "format": FORMAT,
            "terms": TERMS_VERSION,
            "shard_size": SHARD_SIZE,
            "cursor": self.cursor,
            "shards": {str(number): name for number, name in self.shards.items()},
            "dirty": sorted(self.dirty),
            "lost": sorted(self.lost),
        }
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(orjson.dumps(data))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @classmethod
    def load(cls, path: Path) -> State | None:
        """Read what `save` wrote; none where it was made by other rules for terms or shards.

        Raises ValueError where the file is damaged and FileNotFoundError where there is none.
        """
        try:
            data = orjson.loads(path.read_bytes())
            made_by = (data["format"], data["terms"], data["shard_size"])
            if made_by != (FORMAT, TERMS_VERSION, SHARD_SIZE):
                return None
            return cls(
                cursor=int(data["cursor"]),
                shards={int(number): _name(name) for number, name in data["shards"].items()},
                dirty={int(number) for number in data["dirty"]},
                lost={int(number) for number in data["lost"]},
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path.name} is damaged") from error


def _name(value: object) -> str:
    if not isinstance(value, str) or not value or "/" in value or value.startswith("."):
        raise ValueError("not the name of a shard's folder")
    return value


class WriterLock:
    """The right to write to the folder; at most one process has it, and a dead one has not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object has the right now."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the right where nobody has it, and return whether it is held."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the right back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
