"""From a run to a release: export, prove, and only then show it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from madang.engines.processor import usable_cores
from madang.model.transformer import Transformer
from madang.release.checks import Check
from madang.release.export import (
    FORMATS,
    Format,
    export,
    formats_of,
    gguf_kind,
    gguf_name,
)
from madang.release.prompts import comparison_prompts, reference
from madang.release.proof import expected, prove
from madang.release.release import LEDGER, RECORD, FileRecord, Release
from madang.release.run_model import RunModel, load_run
from madang.training.files import sha256, sync, write_text
from madang.training.ledger import Ledger
from madang.training.state import read_state, write_state

_NAME: Final = re.compile(r"\w[\w.+-]{0,127}")
# The model that comes along; a name means one model.
_TAKEN: Final = ("smollm2",)
# Bytes of a weight in each format, a little more than it takes.
_BYTES: Final[dict[Format, float]] = {
    "safetensors": 4.1,
    "gguf-f32": 4.1,
    "gguf-f16": 2.1,
    "gguf-q8_0": 1.2,
    "adapter": 0.3,
}


class ReleaseRefusedError(Exception):
    """An export is not the model, so it was not published; the message is one sentence.

    `check` is the promise that was not kept.
    """

    def __init__(self, name: str, check: Check) -> None:
        super().__init__(f"{name} is not published: {check.sentence()}")
        self.check = check


@dataclass(frozen=True, slots=True)
class Progress:
    """What publishing does now: `done` of `of` steps are over before it."""

    stage: Literal["export", "prove"]
    format: Format
    done: int
    of: int


def publish(
    run_folder: Path,
    releases_folder: Path,
    *,
    name: str | None = None,
    formats: Sequence[Format] = FORMATS,
    progress: Callable[[Progress], None] | None = None,
    base: Transformer | None = None,
) -> Release:
    """Write a run's model in every format, prove each of them, and publish them together.

    The release is `releases_folder/name`; its name is the run's unless it is given. Until
    everything is proven it is in a hidden folder beside it, which is removed whatever happens.
    `base` takes the place of the model that the run's plan says it started from.

    A format whose coarser numbers cost this model more than they may (`Check.is_rounding`) is
    left out, as long as another one remains; its checks stay in the record and say so. Raises
    ReleaseRefusedError for any other promise that is not kept (see `madang.release.checks`),
    ValueError where the run has no model or the name cannot be used,
    and OSError in one sentence where the disk is full.
    """
    name = _free_name(name or run_folder.resolve().name, releases_folder)
    run = load_run(run_folder, base)
    chosen = formats_of(run.model, formats)
    releases_folder.mkdir(parents=True, exist_ok=True)
    with _said_plainly(releases_folder), _unfinished(releases_folder, name) as folder:
        _check_room(releases_folder, run.parameters, chosen)
        release = _Publication(folder, name, run, chosen, progress).publish()
        try:
            folder.rename(releases_folder / name)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise _taken(name, releases_folder) from None
            raise
        sync(releases_folder)
    _tell_run(run_folder, name, release.ledger)
    return replace(release, folder=releases_folder / name)


@dataclass(slots=True)
class _Publication:
    folder: Path
    name: str
    run: RunModel
    formats: tuple[Format, ...]
    progress: Callable[[Progress], None] | None

    def publish(self) -> Release:
        """Fill the folder; what it returns is written there already."""
        ledger = Ledger(self.folder / LEDGER)
        if self.run.ledger is not None:
            shutil.copyfile(self.run.ledger, ledger.path)
        ledger.append(
            "release",
            {
                "name": self.name,
                "run": self.run.name,
                "base": self.run.base,
                "method": self.run.method,
                "weights": self.run.weights,
                "tokenizer": self.run.tokenizer.digest,
                "parameters": self.run.parameters,
            },
        )
        files = self._export(ledger)
        checks = self._prove(ledger, files)
        closed = ledger.append(
            "published", {"files": {file: one.sha256 for file, one in files.items()}}
        )
        release = Release(
            folder=self.folder,
            name=self.name,
            run=self.run.name,
            base=self.run.base,
            method=self.run.method,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            parameters=self.run.parameters,
            files=files,
            checks={check.name: check for check in checks},
            ledger=closed,
        )
        write_text(self.folder / RECORD, _json(release.to_json()))
        for path in self.folder.rglob("*"):
            sync(path)
        return release

    def _export(self, ledger: Ledger) -> dict[str, FileRecord]:
        files: dict[str, FileRecord] = {}
        self._say("export", 0)
        written = export(
            self.run.model,
            self.run.tokenizer,
            self.folder,
            self.formats,
            name=self.name,
            base=self.run.base or "",
        )
        for done, format in enumerate(written, 1):
            for path in sorted(self.folder.rglob("*")):
                file = path.relative_to(self.folder).as_posix()
                if path.is_file() and file != LEDGER and file not in files:
                    files[file] = FileRecord(path.stat().st_size, sha256(path))
                    fields = {"bytes": files[file].bytes, "sha256": files[file].sha256}
                    ledger.append("export", {"format": format, "file": file, **fields})
            if done < len(self.formats):
                self._say("export", done)
        return files

    def _prove(self, ledger: Ledger, files: dict[str, FileRecord]) -> list[Check]:
        """Return every check; what is too coarse is taken out of the folder and of the files."""
        model, tokenizer = self.run.model, self.run.tokenizer
        config = model.config
        prompts = comparison_prompts(
            tokenizer, vocabulary=config.vocabulary, context=config.context
        )
        wanted = expected(tokenizer, reference(model, prompts))
        found: list[Check] = []
        left = set(self.formats)
        for done, format in enumerate(self.formats):
            self._say("prove", done)
            for check in prove(
                format, self.folder, wanted, base=self.run.load_base, threads=usable_cores()
            ):
                ledger.append("check", {"name": check.name, **check.to_json()})
                found.append(check)
                if not check.ok:
                    left.discard(format)
                    kind = gguf_kind(format)
                    if kind is None or not check.is_rounding or not left:
                        raise ReleaseRefusedError(self.name, check)
                    file = gguf_name(kind)
                    ledger.append("left out", {"format": format, "file": file})
                    (self.folder / file).unlink()
                    del files[file]
                    break
            # A model that was loaded for the proof is let go before the next one.
            gc.collect()
        return found

    def _say(self, stage: Literal["export", "prove"], done: int) -> None:
        if self.progress is not None:
            before = 0 if stage == "export" else len(self.formats)
            step = Progress(stage, self.formats[done], before + done, 2 * len(self.formats))
            self.progress(step)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _free_name(name: str, releases_folder: Path) -> str:
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise ValueError(
            f"a release cannot be called {name!r}; take letters, digits, '.', '-' and '_', "
            f"and not {', '.join(_TAKEN)}"
        )
    if (releases_folder / name).exists():
        raise _taken(name, releases_folder)
    return name


def _taken(name: str, releases_folder: Path) -> ValueError:
    return ValueError(f"{releases_folder} has a release {name!r} already; choose another name")


@contextlib.contextmanager
def _unfinished(releases_folder: Path, name: str) -> Iterator[Path]:
    """Give a hidden folder that does not outlive this; remove those whose process is gone."""
    with contextlib.ExitStack() as stack:
        # One at a time: a folder that is there and not locked yet would be taken for a leftover.
        with _locked(releases_folder, wait=True):
            for old in releases_folder.glob(".*.part"):
                with _locked(old) as is_left_over:
                    if is_left_over:
                        shutil.rmtree(old, ignore_errors=True)
            prefix = f".{name[:64]}."
            folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=releases_folder))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(_locked(folder))
        folder.chmod(0o755)
        yield folder


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Lock a folder and say whether that was possible; the end of the process unlocks it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _check_room(releases_folder: Path, parameters: int, formats: Sequence[Format]) -> None:
    needed = int(parameters * sum(_BYTES[format] for format in formats))
    free = shutil.disk_usage(releases_folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, f"it takes {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} are free"
        )


@contextlib.contextmanager
def _said_plainly(releases_folder: Path) -> Iterator[None]:
    """Turn every way in which a disk says that it is full into one sentence."""
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise OSError(
                errno.ENOSPC,
                f"{releases_folder}: the disk is full, so nothing was published ({said}); "
                "free some space and publish again",
            ) from error
        raise


def _tell_run(run_folder: Path, name: str, ledger: str) -> None:
    """Note in the run that it was published; a run that goes on meanwhile is left alone."""
    try:
        state = read_state(run_folder)
    except ValueError:
        return
    if state.state != "running":
        write_state(run_folder, replace(state, release=name))
        Ledger(run_folder / LEDGER).append("released", {"release": name, "ledger": ledger})
