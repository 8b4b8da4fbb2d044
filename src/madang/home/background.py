"""The community's own model learns in the background while people talk to the home.

One thread watches; the learning itself is a process of the lowest priority, which may be killed
at any moment and goes on from its last checkpoint. What it publishes takes over the conversation;
a run that fails never does.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from madang.home import learner_process
from madang.home.brake import Brake
from madang.home.folder import Folder
from madang.home.run_files import read_run
from madang.home.training_extra import missing_packages
from madang.posts import PostLog

State = Literal["off", "absent", "waiting", "learning", "learned", "nothing", "failed", "stopped"]

POLL_SECONDS: Final = 0.25
# How often it is looked whether the packages have come, or posts to learn from.
LOOK_SECONDS: Final = 5.0
# New posts alone do not make a model that found nothing to learn try again sooner than this.
AGAIN_SECONDS: Final = 60.0

# Nothing is compiled: in so short a run it would cost more than it brings. Only what serves here is
# exported; `madang release` writes the rest. Where eight bits are too coarse for the weights, that
# format is left out, and the weights serve as they are.
USUAL: Final[Mapping[str, Any]] = {
    "base": "smollm2",
    "formats": ("gguf-f32", "gguf-q8_0"),
    "overrides": {"compile": False},
}

_log = logging.getLogger("madang.home")


@dataclass(frozen=True, slots=True)
class LearningStatus:
    """What the background learner does now.

    `stage` is what of it: curate, tokenize, train, evaluate, publish. `minutes` is what it may
    take, `seconds` what it has taken. `bits_per_byte` is before and after, once it is measured.
    """

    state: State
    minutes: float = 0.0
    stage: str | None = None
    detail: str | None = None
    run: str | None = None
    release: str | None = None
    seconds: float | None = None
    bits_per_byte: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Memory:
    """What outlives a restart: which posts were learned from, and what became of it."""

    last_seq: int = -1
    minutes: float = 0.0
    run: str | None = None
    outcome: str = ""
    detail: str | None = None
    release: str | None = None
    bits_per_byte: Mapping[str, Any] = field(default_factory=dict)


class BackgroundLearner:
    """Learns once from the posts that there are, beside whatever else the home does."""

    def __init__(
        self,
        folder: Folder,
        log: PostLog,
        minutes: float,
        *,
        take_over: Callable[[str], None],
        options: Mapping[str, Any] | None = None,
        look_seconds: float = LOOK_SECONDS,
        polite: bool = True,
    ) -> None:
        """Prepare to learn for `minutes`; `take_over` is called with the release's name.

        `options` are fields of `TrainOptions` in place of the usual ones (SmolLM2, continued).
        The process takes what nobody else wants unless it is not to be `polite`.
        """
        self._folder = folder
        self._log = log
        self._minutes = minutes
        self._take_over = take_over
        self._options = dict(options or USUAL)
        self._polite = polite
        self._look_seconds = look_seconds
        self._brake = Brake(folder.brake)
        self._ended = threading.Event()
        self._anew = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._status = LearningStatus("waiting", minutes)
        self._corpus: Path | None = None
        self._began: float | None = None
        self._thread = threading.Thread(target=self._work, name="madang-learn", daemon=True)

    def start(self) -> None:
        """Begin to watch for the packages and the posts that learning needs."""
        self._thread.start()

    def close(self) -> None:
        """End learning; the next start goes on from the last checkpoint."""
        self._ended.set()
        self._kill()
        if self._thread.is_alive():
            self._thread.join()

    def corpora_purged(self, removed: int) -> None:
        """Begin anew where the run that is under way reads a corpus that is gone.

        Returns when nothing reads it any more. Curation itself looks whether a post that it has
        read was withdrawn, and is left alone.
        """
        corpus, stage = self._corpus, self._status.stage
        if self._process is None or stage == "curate":
            return
        if removed or (corpus is not None and not corpus.is_dir()):
            self._anew.set()
            self._kill()
            while self._process is not None and not self._ended.is_set():
                time.sleep(0.02)

    @property
    def status(self) -> LearningStatus:
        """What it does now."""
        status, began = self._status, self._began
        if began is not None and status.state == "learning":
            status = replace(status, seconds=time.monotonic() - began)
        return status

    # -- the thread --------------------------------------------------------------------------

    def _work(self) -> None:
        tried = -AGAIN_SECONDS
        while not self._ended.is_set():
            try:
                if self._may_begin(tried):
                    tried = time.monotonic()
                    self._learn()
            except Exception:
                _log.exception("the background learner stumbled; it tries again later")
                self._show("failed", detail="it stumbled; the server's log says why")
            self._ended.wait(self._look_seconds)

    def _may_begin(self, tried: float) -> bool:
        if self._brake.on:
            self._show("stopped")
            return False
        if missing_packages():
            self._show("absent")
            return False
        memory = self._remembered()
        outcome = memory.outcome
        if outcome == "learned" and not (self._folder.releases / (memory.release or "")).is_dir():
            outcome = ""
        same = memory.last_seq == self._log.last_seq
        # What was tried since the start is not tried again under the hands of those who talk; at
        # the next start, new posts are learned from, and what failed for no fault of the posts is
        # tried again.
        here = self._status.state == outcome
        settled = {
            "learned": same or here,
            "failed": here or (same and memory.release is not None),
            "nothing": same or time.monotonic() - tried < AGAIN_SECONDS,
        }
        if settled.get(outcome, False):
            self._show_remembered(memory)
            return False
        return True

    def _learn(self) -> None:
        self._anew.clear()
        last_seq = self._log.last_seq
        memory = self._remembered()
        options = dict(self._options)
        unfinished = memory.outcome == "running" and memory.last_seq == last_seq
        if "steps" not in options:
            options["minutes"] = self._minutes
        if unfinished and memory.run and _can_resume(self._folder, memory.run):
            options = {**options, "resume": memory.run}
        memory = _Memory(last_seq, self._minutes, options.get("resume"), "running")
        self._remember(memory)
        self._began = time.monotonic()
        self._show("learning", stage="curate", run=memory.run)
        told: dict[str, Any] = {}
        try:
            for event in self._events(options):
                told = event
                if event.get("event") == "stage":
                    corpus = event.get("corpus")
                    self._corpus = Path(corpus) if corpus else None
                    run = event.get("run") or memory.run
                    if run != memory.run:
                        memory = replace(memory, run=run)
                        self._remember(memory)
                    self._show("learning", stage=event.get("stage"), run=run)
        finally:
            self._began = None
        if self._anew.is_set():
            self._discard(memory)
        elif self._ended.is_set() or self._brake.on:
            self._show("stopped", run=memory.run)
        else:
            self._conclude(memory, told)

    def _events(self, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", learner_process.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            # A group of its own: whoever ends it ends the processes that curate with it.
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        with self._lock:
            self._process = process
        watch = threading.Thread(target=self._mind_the_brake, args=(process,), daemon=True)
        watch.start()
        try:
            if self._ended.is_set() or self._anew.is_set():
                return
            home = str(self._folder.root.absolute())
            settings = {"home": home, "polite": self._polite, **options}
            with suppress(BrokenPipeError):
                process.stdin.write(orjson.dumps(settings) + b"\n")
                process.stdin.flush()
            for line in process.stdout:
                with suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        yield event
        finally:
            _end(process)
            with self._lock:
                self._process = None
            watch.join()

    def _mind_the_brake(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if self._brake.on:
                _kill_group(process)
            time.sleep(POLL_SECONDS)

    def _conclude(self, memory: _Memory, told: Mapping[str, Any]) -> None:
        match told.get("event"):
            case "report":
                report = told["report"]
                memory = replace(
                    memory,
                    outcome="learned",
                    run=report.get("run"),
                    release=report.get("release"),
                    bits_per_byte=report.get("bits_per_byte") or {},
                )
                self._finish(memory)
            case "absent":
                self._remember(replace(memory, outcome="", run=None))
                self._show("absent", detail=told.get("detail"))
            case "nothing":
                self._remember(replace(memory, outcome="nothing", detail=told.get("detail")))
                self._show("nothing", detail=told.get("detail"))
            case _:
                detail = told.get("detail") or "its process was ended from outside"
                _log.warning("the background learner failed: %s", detail)
                memory = replace(memory, outcome="failed", detail=str(detail))
                self._remember(memory)
                self._show_remembered(memory)

    def _finish(self, memory: _Memory) -> None:
        """Let the new model take over, unless it came out worse than it went in."""
        worse = _is_worse(memory.bits_per_byte)
        if memory.release is None or worse:
            why = "it reads the newest posts no better than before" if worse else "not published"
            memory = replace(memory, outcome="failed", detail=why)
        else:
            try:
                self._take_over(memory.release)
            except ValueError as error:
                memory = replace(memory, outcome="failed", detail=str(error))
        self._remember(memory)
        self._show_remembered(memory)

    def _discard(self, memory: _Memory) -> None:
        if memory.run is not None and read_run(self._folder.runs, memory.run) is not None:
            remove_folder(self._folder.runs / memory.run)
        self._remember(_Memory())
        self._show("waiting")

    # -- what is shown and remembered --------------------------------------------------------

    def _show(self, state: State, **fields: Any) -> None:
        self._status = LearningStatus(state, self._minutes, **fields)

    def _show_remembered(self, memory: _Memory) -> None:
        self._show(
            memory.outcome,  # type: ignore[arg-type]
            run=memory.run,
            release=memory.release,
            detail=memory.detail,
            bits_per_byte=memory.bits_per_byte or None,
        )

    def _remembered(self) -> _Memory:
        try:
            data = orjson.loads(self._folder.learning.read_bytes())
            return _Memory(**data)
        except (OSError, ValueError, TypeError):
            return _Memory()

    def _remember(self, memory: _Memory) -> None:
        path = self._folder.learning
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_bytes(orjson.dumps(asdict(memory)))
        fresh.replace(path)

    def _kill(self) -> None:
        with self._lock:
            process = self._process
        if process is not None:
            _kill_group(process)


def remove_folder(folder: Path) -> None:
    """Remove a folder that nobody may find half of: it is renamed first."""
    import shutil

    gone = folder.with_name(f".{folder.name}.{os.getpid()}.gone")
    with suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _can_resume(folder: Folder, run: str) -> bool:
    found = read_run(folder.runs, run)
    return found is not None and any((found.folder / "checkpoints").glob("step-*/state.json"))


def _is_worse(bits_per_byte: Mapping[str, Any]) -> bool:
    future = bits_per_byte.get("future") or {}
    before, after = future.get("before"), future.get("after")
    return before is not None and after is not None and after >= before


def _environment() -> dict[str, str]:
    # A thread that spins for work keeps a core from those who have some.
    return {**os.environ, "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the learner and the processes that it started; its checkpoints are whole."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the learner and wait until it is gone."""
    _kill_group(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
