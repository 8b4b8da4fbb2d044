"""An import: from the records of a reader to events in the log, every row accounted for."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from madang.posts.consent import FILE_GRANT, OWNER_GRANT
from madang.posts.event import Delete, Grant, NewEvent, Outcome, Write
from madang.posts.log import PostLog
from madang.posts.readers import open_reader
from madang.posts.reading import Record, Removed, Skipped, Written

BATCH: Final = 2000

Progress = Callable[[int, int, "int | None"], None]


@dataclass(frozen=True, slots=True)
class GivenGrant:
    """What the operator grants by word instead of by the kind of file, and why they may."""

    purposes: frozenset[str]
    basis: str


@dataclass(slots=True)
class IngestReport:
    """What an import did: `read` is the sum of all other numbers, `skipped` goes by reason.

    `rejects` is the file that names each skipped row, or none where no row was skipped.
    `warning` says what a person should know, such as an archive that ends early.
    """

    read: int = 0
    written: int = 0
    edited: int = 0
    deleted: int = 0
    unchanged: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejects: Path | None = None
    seconds: float = 0.0
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `ingest --json`."""
        return {
            "read": self.read,
            "written": self.written,
            "edited": self.edited,
            "deleted": self.deleted,
            "unchanged": self.unchanged,
            "skipped": dict(sorted(self.skipped.items())),
            "rejects": str(self.rejects) if self.rejects else None,
            "seconds": round(self.seconds, 3),
            "warning": self.warning,
        }


def ingest(
    log: PostLog,
    path: Path,
    *,
    rejects: Path,
    source: str | None = None,
    columns: Mapping[str, str] | None = None,
    grant: GivenGrant | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Read a file or folder into the log and name each skipped row in the folder `rejects`.

    Doing it twice changes nothing; one that was cut short goes on where rows are missing.
    `progress` hears of rows read, bytes read, and bytes in all (none where unknown). Raises
    readers.UnreadableFile where the file as a whole cannot be read.
    """
    started = time.monotonic()
    report = IngestReport()
    reader = open_reader(path, source=source, columns=columns)
    digest = _digest(path)
    known_file = digest is not None and log.was_imported(digest)
    grants = _Grants(log, path, grant)
    with ExitStack() as stack:
        rejected = _Rejects(stack, rejects / f"{path.name}.jsonl")
        records = iter(reader)
        while batch := list(islice(records, BATCH)):
            events = [grants.event(record) for record in batch if not isinstance(record, Skipped)]
            outcomes = iter(log.append(events, known_file=known_file))
            for record in batch:
                _count(report, rejected, record, outcomes)
            if progress is not None:
                progress(report.read, *reader.progress)
        report.rejects = rejected.path
    report.warning = reader.truncated
    if digest is not None and report.warning is None:
        log.import_finished(digest)
    if report.deleted:
        log.truncate()
    report.seconds = time.monotonic() - started
    return report


class _Grants:
    """The grants of one import, recorded when the first post that needs one comes by."""

    def __init__(self, log: PostLog, path: Path, given: GivenGrant | None) -> None:
        self._log = log
        self._path = path
        self._given = given
        self._numbers: dict[bool, int] = {}

    def event(self, record: Written | Removed) -> NewEvent:
        if isinstance(record, Removed):
            return Delete(record.post)
        number = self._numbers.get(record.own)
        if number is None:
            number = self._numbers[record.own] = self._log.grant(self._grant(record.own))
        return Write(record.post, number, record.signals, record.own)

    def _grant(self, own: bool) -> Grant:
        if self._given is not None:
            return Grant("operator", self._given.basis, self._given.purposes)
        if own:
            basis = f"own archive {self._path.name}, brought by its owner"
            return Grant("owner", basis, OWNER_GRANT)
        return Grant("operator", f"file {self._path.name}, brought by the operator", FILE_GRANT)


class _Rejects:
    """The file of skipped rows. It holds where and why, never what stood there."""

    def __init__(self, stack: ExitStack, path: Path) -> None:
        self._stack = stack
        self._path = path
        self._file: BinaryIO | None = None
        path.unlink(missing_ok=True)

    @property
    def path(self) -> Path | None:
        return None if self._file is None else self._path

    def add(self, file: str, row: int, reason: str, detail: str) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._stack.enter_context(self._path.open("wb"))
        line = {"file": file, "row": row, "reason": reason, "detail": detail}
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


_WHY: Final[Mapping[str, str]] = {
    "erased": "the post or its author was erased before",
    "refused": "its author refuses every purpose that the import grants",
}


def _count(
    report: IngestReport, rejects: _Rejects, record: Record, outcomes: Iterator[Outcome]
) -> None:
    report.read += 1
    if isinstance(record, Skipped):
        report.skipped[record.reason] += 1
        rejects.add(record.file, record.row, record.reason, record.detail)
        return
    match next(outcomes):
        case "written":
            report.written += 1
        case "edited":
            report.edited += 1
        case "deleted":
            report.deleted += 1
        case "unchanged":
            report.unchanged += 1
        case ("erased" | "refused") as reason:
            report.skipped[reason] += 1
            rejects.add(record.file, record.row, reason, _WHY[reason])
        case outcome:
            raise AssertionError(outcome)


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a file's bytes; none for a folder, whose files may be many."""
    if path.is_dir():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
