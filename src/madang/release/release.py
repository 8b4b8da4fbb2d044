"""A release: a folder that holds one model in every format, and what was proven of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeGuard

from madang.release.checks import Check
from madang.training.files import sha256
from madang.training.ledger import LedgerError, verify

RECORD: Final = "release.json"
LEDGER: Final = "ledger.jsonl"
_GGUF: Final = ("q8_0", "f16", "f32")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The size of a file and the SHA-256 of its bytes, in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A model that was published: where it came from, its files, and what was checked.

    `run` is the name of the run, `base` that of the model it started from, where it did;
    `method` is `full` or `lora`. `files` and `checks` are by name; `ledger` is the hash of the
    ledger's line that closed the release.
    """

    folder: Path
    name: str
    run: str
    base: str | None
    method: str
    created_at: str
    parameters: int
    files: Mapping[str, FileRecord]
    checks: Mapping[str, Check]
    ledger: str

    @classmethod
    def open(cls, folder: Path) -> Release:
        """Read a release's record; its files are not read (see `check`).

        Raises ValueError in one sentence where the folder is no release.
        """
        path = folder / RECORD
        try:
            record = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: this is not a release ({error})") from None
        try:
            return _from_json(folder, record)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; publish the run again") from None

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values; `Release.open` reads it."""
        return {
            "name": self.name,
            "run": self.run,
            "base": self.base,
            "method": self.method,
            "created_at": self.created_at,
            "parameters": self.parameters,
            "files": {
                name: {"bytes": file.bytes, "sha256": file.sha256}
                for name, file in self.files.items()
            },
            "checks": {name: check.to_json() for name, check in self.checks.items()},
            "ledger": self.ledger,
        }

    def check(self) -> tuple[str, ...]:
        """Read every file and return a sentence for each that is not what was published."""
        found = [_problem(self.folder / name, file) for name, file in self.files.items()]
        path = self.folder / LEDGER
        try:
            hashes = {line["hash"] for line in verify(path)}
        except (LedgerError, OSError) as error:
            found.append(f"{path} cannot be trusted ({error})")
        else:
            if self.ledger not in hashes:
                found.append(f"{path} lacks the line that closed this release")
        return tuple(sentence for sentence in found if sentence is not None)

    def gguf_path(self, prefer: Literal["f32", "f16", "q8_0"] = "q8_0") -> Path:
        """Return the GGUF file to serve: the preferred kind, else the smallest there is.

        Raises ValueError where the release holds none.
        """
        for kind in (prefer, *_GGUF):
            name = f"model-{kind}.gguf"
            if name in self.files:
                return self.folder / name
        raise ValueError(f"the release {self.name} holds no GGUF file; publish the run again")


def list_releases(releases_folder: Path) -> list[Release]:
    """Return the releases in a folder, newest first; what cannot be read is left out."""
    found = []
    for folder in sorted(releases_folder.iterdir()) if releases_folder.is_dir() else ():
        # What begins with a dot is being written, or was when the power went.
        if folder.name.startswith(".") or not (folder / RECORD).is_file():
            continue
        try:
            found.append(Release.open(folder))
        except ValueError:
            continue
    return sorted(found, key=lambda release: release.created_at, reverse=True)


def _problem(path: Path, file: FileRecord) -> str | None:
    try:
        size = path.stat().st_size
        if size != file.bytes:
            return f"{path} has {size:,} bytes and was published with {file.bytes:,}"
        if sha256(path) != file.sha256:
            return f"{path} was changed after it was published"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})"
    return None


def _from_json(folder: Path, record: Any) -> Release:
    if not isinstance(record, dict):
        raise ValueError("this is not a release, which is a JSON object")

    def text(key: str) -> str:
        value = record.get(key)
        if not isinstance(value, str) or not value:
            raise ValueError(f"the {key} is missing")
        return value

    def objects(key: str) -> dict[str, dict[str, Any]]:
        value = record.get(key)
        if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
            raise ValueError(f"the {key} are missing")
        return value

    base, parameters = record.get("base"), record.get("parameters")
    if base is not None and not isinstance(base, str):
        raise ValueError("the base is not a name")
    if not _is_count(parameters):
        raise ValueError("the number of parameters is missing")
    if text("name") != folder.name:
        raise ValueError(f"the release calls itself {text('name')!r}; name the folder so")
    return Release(
        folder=folder,
        name=text("name"),
        run=text("run"),
        base=base,
        method=text("method"),
        created_at=text("created_at"),
        parameters=parameters,
        files={name: _file(name, value) for name, value in objects("files").items()},
        checks={name: Check.from_json(name, value) for name, value in objects("checks").items()},
        ledger=text("ledger"),
    )


def _file(name: str, value: Mapping[str, Any]) -> FileRecord:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"the file {name!r} is not inside the release")
    size, digest = value.get("bytes"), value.get("sha256")
    if not _is_count(size) or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError(f"the file {name!r} has no size and digest")
    return FileRecord(size, digest)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
