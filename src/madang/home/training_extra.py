"""Whether the packages that training needs are here, found out without importing any of them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Final

PACKAGES: Final = ("torch", "numpy", "pyarrow", "tokenizers", "safetensors", "gguf", "rensa")


class TrainingUnavailableError(Exception):
    """Training needs packages that are not installed."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"training needs more packages ({', '.join(missing)}): install them with "
            "`make train`, or with `pip install 'madang[train]'`"
        )


def missing_packages() -> tuple[str, ...]:
    """Return the packages that are not installed yet; an install that still runs counts as not."""
    importlib.invalidate_caches()
    missing = tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)
    # The marks that `tools/install.py` leaves while it installs.
    installing = any(Path(sys.prefix).glob("unfinished*"))
    return missing or (PACKAGES[:1] if installing else ())


def require_training() -> None:
    """Raise TrainingUnavailableError where a package is missing."""
    missing = missing_packages()
    if missing:
        raise TrainingUnavailableError(missing)
