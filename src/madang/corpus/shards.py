"""Token shards: documents one after another in plain files of little-endian numbers."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

SHARD_BYTES: Final = 256 << 20

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
"""Token ids as they are stored."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of tokens: its name, how many it holds, and the SHA-256 of its bytes."""

    file: str
    tokens: int
    sha256: str


def token_type(vocabulary: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """Return how a token is stored: two bytes where every id fits, else four."""
    return np.dtype("<u2") if vocabulary <= 1 << 16 else np.dtype("<u4")


class ShardWriter:
    """Writes documents into shards; one document lies whole in one shard.

    A shard is closed before the document that would make it larger than `shard_bytes`, so that
    only a document that is larger by itself makes a larger file.
    """

    def __init__(self, folder: Path, vocabulary: int, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._type = token_type(vocabulary)
        self._most = max(1, shard_bytes // self._type.itemsize)
        self._shards: list[Shard] = []
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._tokens = 0

    def write(self, ids: list[int]) -> tuple[int, int]:
        """Write one document; return its shard's number and its first token's place in it."""
        if self._file is not None and self._tokens + len(ids) > self._most:
            self._close_shard()
        if self._file is None:
            self._file = (self._folder / self._name()).open("wb")
        data = np.asarray(ids, dtype=self._type).tobytes()
        self._file.write(data)
        self._hash.update(data)
        place = len(self._shards), self._tokens
        self._tokens += len(ids)
        return place

    def close(self) -> list[Shard]:
        """Finish the last shard on the disk, and return all of them."""
        if self._file is not None:
            self._close_shard()
        return self._shards

    def abandon(self) -> None:
        """Close the file that is open; what was written is of no use."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _name(self) -> str:
        return f"tokens-{len(self._shards):05d}.bin"

    def _close_shard(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._shards.append(Shard(self._name(), self._tokens, self._hash.hexdigest()))
        self._file, self._hash, self._tokens = None, hashlib.sha256(), 0


def open_shard(path: Path, tokens: int, vocabulary: int) -> Tokens:
    """Map a shard into memory. Raises ValueError where it has not the size it should have."""
    kind = token_type(vocabulary)
    size = path.stat().st_size if path.exists() else 0
    if size != tokens * kind.itemsize:
        raise ValueError(
            f"{path} has {size:,} of {tokens * kind.itemsize:,} bytes; "
            f"delete {path.parent} and it is built anew"
        )
    return np.memmap(path, dtype=kind, mode="r", shape=(tokens,))
