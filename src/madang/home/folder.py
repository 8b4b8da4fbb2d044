"""Where a home lies on disk, and what lies in it."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT: Final = ".madang"


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one home. All but `posts` and `releases` can be deleted and made again."""

    root: Path

    @property
    def posts(self) -> Path:
        """The log."""
        return self.root / "posts.db"

    @property
    def index(self) -> Path:
        """The search index."""
        return self.root / "index"

    @property
    def rejects(self) -> Path:
        """What imports left out, one file for each imported file."""
        return self.root / "rejects"

    @property
    def cache(self) -> Path:
        """What is only kept to be quicker next time."""
        return self.root / "cache"

    @property
    def examples(self) -> Path:
        """Questions that the page offers; stands here while the home shows the sample."""
        return self.root / "examples.json"

    @property
    def brake(self) -> Path:
        """Stands here while the emergency brake is on."""
        return self.root / "stopped"

    @property
    def corpus(self) -> Path:
        """What models learn from, made from the log."""
        return self.root / "corpus"

    @property
    def runs(self) -> Path:
        """Trainings, each with its plan, its curve and its checkpoints."""
        return self.root / "runs"

    @property
    def releases(self) -> Path:
        """Models that were published, each a folder that runs anywhere."""
        return self.root / "releases"

    @property
    def speaking(self) -> Path:
        """Names the release that took over the conversation."""
        return self.root / "speaking"

    @property
    def learning(self) -> Path:
        """What the community's model learned from last, and what became of it."""
        return self.root / "learning.json"

    @property
    def key(self) -> Path:
        """The administrator's key."""
        return self.root / "admin-key"

    def make(self) -> None:
        """Create the folder, readable by its owner alone."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def admin_key(self) -> str:
        """Return the administrator's key; it is made when it is first asked for."""
        try:
            return self.key.read_text().strip()
        except FileNotFoundError:
            pass
        self.make()
        fresh = self.key.with_name(f".admin-key.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"madang-{secrets.token_urlsafe(32)}\n")
        try:
            os.link(fresh, self.key)
        except FileExistsError:
            pass
        finally:
            fresh.unlink(missing_ok=True)
        return self.key.read_text().strip()


def locate(home: Path | str | None = None) -> Folder:
    """Return the home that was named, else `MADANG_HOME`, else `.madang` here."""
    return Folder(Path(home or os.environ.get("MADANG_HOME") or DEFAULT))
