"""The emergency brake: while it is on, nothing is generated, also after a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

POLL_SECONDS: Final = 0.1


class StoppedError(Exception):
    """The emergency brake is on."""

    def __init__(self) -> None:
        super().__init__("answering was stopped by the operator; `madang start` ends that")


class Brake:
    """A file in the home, so that it holds for every process and outlives all of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def on(self) -> bool:
        """Whether generating is stopped."""
        return self._path.exists()

    def pull(self) -> None:
        """Stop generating, everywhere, within a second."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch()

    def release(self) -> None:
        """Allow generating again."""
        self._path.unlink(missing_ok=True)

    def require_released(self) -> None:
        """Raise StoppedError where the brake is on."""
        if self.on:
            raise StoppedError

    def watch(self, stop: Callable[[], None], until: threading.Event) -> None:
        """Call `stop` whenever the brake goes on; returns when `until` is set."""
        was_on = False
        while not until.wait(POLL_SECONDS):
            on = self.on
            if on and not was_on:
                stop()
            was_on = on
