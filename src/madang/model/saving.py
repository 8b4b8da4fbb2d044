"""Weights in safetensors files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def save_weights(
    state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to `path`, which holds the old file or the whole new one at any moment."""
    with replaced(path) as part:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        save_file(tensors, part, None if metadata is None else dict(metadata))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises ValueError in one sentence where the file is damaged, and FileNotFoundError where it is
    absent.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); take another copy of it"
        ) from error


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and, once it is written, put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)
