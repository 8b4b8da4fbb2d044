"""Writing files so that a crash leaves either the old one or the new one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def said_plainly(what: Path) -> Iterator[None]:
    """Turn an error of the file system into one sentence; OSError with the same errno."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OSError(
                error.errno,
                f"{what}: the disk is full; free some space and resume the run "
                "(what was saved before is whole)",
            ) from error
        raise


def sync(path: Path) -> None:
    """Make what a file or folder holds survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically: beside it, to the disk, then into its place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with said_plainly(path):
        try:
            temporary.write_text(text, "utf-8")
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
