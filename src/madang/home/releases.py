"""The releases of a home as they lie on disk, read without anything that trains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

# What serves best comes first: small enough to be quick, close enough to the weights.
_SERVED: Final = ("model-q8_0.gguf", "model-f16.gguf", "model-f32.gguf")
_NAME: Final = re.compile(r"[\w][\w.+-]{0,127}")


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A release that engines can serve: its name, its GGUF file, and what its card says."""

    name: str
    gguf: Path
    card: Mapping[str, Any]

    @property
    def created_at(self) -> str:
        """When it was published, as ISO 8601."""
        return str(self.card.get("created_at", ""))


def published_models(releases: Path) -> list[PublishedModel]:
    """Return the releases that can be served, newest first."""
    try:
        names = sorted(path.name for path in releases.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = (published_model(releases, name) for name in names)
    return sorted((one for one in found if one), key=lambda one: one.created_at, reverse=True)


def published_model(releases: Path, name: str) -> PublishedModel | None:
    """Return the release of that name, or none where there is none that can be served.

    A name is one part of a path and never leads out of the folder.
    """
    if not _NAME.fullmatch(name):
        return None
    folder = releases / name
    gguf = next((folder / file for file in _SERVED if (folder / file).is_file()), None)
    if gguf is None:
        return None
    try:
        card = orjson.loads((folder / "release.json").read_bytes())
    except (OSError, ValueError):
        return None
    return PublishedModel(name, gguf, card) if isinstance(card, dict) else None
