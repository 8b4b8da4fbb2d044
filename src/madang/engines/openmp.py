"""libgomp, which the Linux builds of xllamacpp need and a machine without a compiler may lack."""

from __future__ import annotations

import ctypes
import os
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


def llama_environment(libraries: Path) -> dict[str, str]:
    """Return the environment of a process that runs llama.cpp.

    `libraries` is an empty folder to link a borrowed libgomp into; it must outlive the start.
    """
    environment = dict(os.environ)
    carried = None if system_has_libgomp() else carried_libgomp(sys.path)
    if carried is not None:
        (libraries / LIBGOMP).symlink_to(carried.absolute())
        known = os.environ.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{known}" if known else str(libraries)
    return {
        **environment,
        # xllamacpp is found in the child wherever it was found here.
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        # Few arenas keep the memory of the mostly idle HTTP threads small.
        "MALLOC_ARENA_MAX": "2",
        # Threads that spin while they wait for each other bring the whole machine to a halt as
        # soon as anything else wants a core: 1 token a second in place of 75.
        "OMP_WAIT_POLICY": "passive",
    }
