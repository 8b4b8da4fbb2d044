"""Which model a name stands for: the operator's own, the one that comes along, or a release."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from madang.engines import Engine, EngineError, open_engine
from madang.home.folder import Folder
from madang.home.model import Models
from madang.home.releases import published_model, published_models

# The model that comes along. A release never takes this name: a name means one model.
SMOLLM2: Final = "smollm2"


@dataclass(frozen=True, slots=True)
class NamedModels:
    """The names that can be chosen in one home, and how each is opened.

    `given` is what `--model` said: a GGUF file, a URL, the name of a release, or none.
    """

    folder: Folder
    given: str | None
    api_key: str | None = None

    @property
    def own(self) -> str:
        """The name of the model that is there without any release."""
        if self.given is None or self._is_release(self.given) or self.given == SMOLLM2:
            return SMOLLM2
        if _is_url(self.given):
            return urlsplit(self.given).netloc
        return Path(self.given).stem or self.given

    @property
    def first(self) -> str:
        """The name of the model that speaks at the start.

        What `--model` names; else the release that took over the conversation; else the own.
        """
        if self.given is not None:
            return self.given if self._is_release(self.given) else self.own
        chosen = read_speaking(self.folder.speaking)
        return chosen if chosen and self.knows(chosen) else self.own

    def all(self) -> list[str]:
        """Return every name that can be chosen: the own model, then releases, newest first."""
        releases = [one.name for one in published_models(self.folder.releases)]
        return [self.own, *(name for name in releases if name != self.own)]

    def knows(self, name: str) -> bool:
        """Return whether a name can be chosen."""
        return name == self.own or published_model(self.folder.releases, name) is not None

    def open(self, name: str) -> Engine:
        """Open a model by its name. Raises EngineError where it cannot run."""
        if name == self.own:
            given = None if self.own == SMOLLM2 else self.given
            return open_engine(given, cache=self.folder.cache, api_key=self.api_key)
        release = published_model(self.folder.releases, name)
        if release is None:
            raise EngineError(f"there is no model {name!r} in {self.folder.root}")
        return open_engine(str(release.gguf), name=name)

    def models(self) -> Models:
        """Return the home's models, none of them loaded yet."""
        return Models(self.first, self.open)

    def _is_release(self, name: str) -> bool:
        return published_model(self.folder.releases, name) is not None


def read_speaking(path: Path) -> str | None:
    """Return the name of the release that took over the conversation, if one did."""
    try:
        return path.read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None


def write_speaking(path: Path, name: str) -> None:
    """Remember which release speaks, also for the next start."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(f"{name}\n", "utf-8")
    fresh.replace(path)


def _is_url(model: str) -> bool:
    return model.lower().startswith(("http://", "https://"))
