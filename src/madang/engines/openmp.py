"""libgomp, which the Linux builds of xllamacpp need and a machine without a compiler may lack."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LIBGOMP: Final = "libgomp.so.1"
# Wheels carry it in a folder of their own, under a name with a hash in it.
_CARRIED: Final = ("*.libs/libgomp*.so*", "torch/lib/libgomp*.so*")


def system_has_libgomp() -> bool:
    """Return whether the loader finds libgomp by itself, or none is needed."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL(LIBGOMP)
    except OSError:
        return False
    return True


def carried_libgomp(search: Iterable[str]) -> Path | None:
    """Return the libgomp of any installed Python package in these folders."""
    for folder in search:
        for pattern in _CARRIED:
            for path in sorted(Path(folder).glob(pattern)) if folder else ():
                return path
    return None
