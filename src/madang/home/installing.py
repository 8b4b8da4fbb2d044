"""Installing what training needs, while the home is served already."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress


class Installing:
    """A command that installs packages, at the lowest priority; `close` ends it.

    It writes to standard error what it does, how large the download is first of all.
    """

    def __init__(self, command: str) -> None:
        """Prepare to run `command`, words as a shell quotes them. Raises ValueError for none."""
        self._words = shlex.split(command)
        if not self._words:
            raise ValueError("the command that installs what training needs is empty")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin; a command that cannot be run leaves learning out, and nothing else."""
        with suppress(OSError):
            self._process = subprocess.Popen(  # noqa: S603
                ["nice", "-n", "19", *self._words],  # noqa: S607
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                # A group of its own, so that ending it ends what it has started.
                start_new_session=True,
            )

    def close(self) -> None:
        """End it where it still runs. What it leaves half done, its next run mends."""
        process = self._process
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
