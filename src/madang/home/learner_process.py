"""The process in which the community's model learns: started, watched and ended by its parent.

It reads one line of JSON from standard input (`home`, `polite`, and the fields of `TrainOptions`),
says what it does as JSON lines on standard output, and lives no longer than standard input stays
open. A polite one has the lowest priority that the system knows, so that whoever talks to the
server never waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Learn once, and say what became of it."""
    said = os.fdopen(os.dup(1), "w", buffering=1)
    # What libraries print is no report.
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.readline())
    if settings.pop("polite"):
        lowest_priority()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _learn(settings, said)
    except KeyboardInterrupt:
        os._exit(130)
    # Native threads that are still winding down are not worth waiting for.
    said.flush()
    os._exit(0)


def lowest_priority() -> None:
    """Take only what nobody else on this machine wants."""
    with suppress(OSError, AttributeError):
        os.nice(19)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # type: ignore[attr-defined,unused-ignore]
    # Where memory runs out, learning goes before talking does.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    # The processes that curate are in this group too.
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _learn(settings: dict[str, Any], said: TextIO) -> None:
    def tell(event: str, **fields: Any) -> None:
        said.write(json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")

    from madang.home.folder import Folder
    from madang.home.learning import (
        Learning,
        NothingToLearnError,
        Stage,
        TrainingUnavailableError,
        TrainOptions,
        Watcher,
    )
    from madang.posts import PostLog

    def stage(now: Stage) -> None:
        tell("stage", stage=now.stage, run=now.run, corpus=now.corpus)

    folder = Folder(Path(settings.pop("home")))
    try:
        with PostLog(folder.posts) as log:
            report = Learning(folder, log).train(TrainOptions(**settings), Watcher(stage=stage))
    except TrainingUnavailableError as error:
        tell("absent", detail=str(error))
    except NothingToLearnError as error:
        tell("nothing", detail=str(error))
    except Exception as error:
        # Whatever it was, the conversation goes on without it.
        tell("failed", detail=str(error) or type(error).__name__)
    else:
        tell("report", report=report.to_dict())


if __name__ == "__main__":
    main()
