"""A record that cannot be changed unnoticed: JSON lines, each holding the hash of the one before.

A line is a canonical JSON object (sorted keys, no spaces, UTF-8) whose `hash` is the SHA-256 of the
same object without `hash`; `previous` is the hash of the line before, and 64 zeros in the first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FIRST: Final = "0" * 64


class LedgerError(ValueError):
    """A ledger's lines do not follow from one another."""


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the one way in which an object is written for hashing."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def _hash(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(line)).hexdigest()


@dataclass(frozen=True, slots=True)
class Ledger:
    """An append-only file of what happened to a run or a release."""

    path: Path

    def append(self, kind: str, fields: Mapping[str, Any]) -> str:
        """Add a line of `kind` and return its hash; it is on the disk when this returns.

        A last line that a crash left unfinished is removed first. Raises LedgerError where the
        last whole line is not one, and ValueError where a field has the name of a column.
        """
        taken = {"number", "at", "kind", "previous", "hash"} & set(fields)
        if taken:
            raise ValueError(f"a ledger's own columns cannot be fields: {', '.join(sorted(taken))}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            last = _last_line(self.path, file)
            line: dict[str, Any] = {
                "number": last["number"] + 1 if last else 1,
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "kind": kind,
                **fields,
                "previous": last["hash"] if last else FIRST,
            }
            line["hash"] = _hash(line)
            file.write(canonical(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return str(line["hash"])

    def lines(self) -> list[dict[str, Any]]:
        """Return every line, verified; raises LedgerError."""
        return verify(self.path)


def _last_line(path: Path, file: Any) -> dict[str, Any] | None:
    file.seek(0)
    content: bytes = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.truncate(len(whole))
    if not whole:
        return None
    number = whole.count(b"\n")
    return _parse(path, number, whole[whole.rfind(b"\n", 0, -1) + 1 :])


def _parse(path: Path, number: int, raw: bytes) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except ValueError as error:
        raise LedgerError(f"{path}: line {number} is not JSON") from error
    if not isinstance(line, dict) or not {"hash", "previous", "number", "kind"} <= set(line):
        raise LedgerError(f"{path}: line {number} is not a ledger's line")
    return line


def verify(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the ledger at `path`, each checked against its hash and the one before.

    Raises LedgerError that names the first line that was changed, added or taken out. Lines that
    were cut off at the end cannot be seen from the file alone: keep the last hash elsewhere.
    """
    lines: list[dict[str, Any]] = []
    previous = FIRST
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        line = _parse(path, number, raw)
        claimed = line["hash"]
        bare = {key: value for key, value in line.items() if key != "hash"}
        if _hash(bare) != claimed or canonical(line) != raw:
            raise LedgerError(f"{path}: line {number} was changed after it was written")
        if line["previous"] != previous or line["number"] != number:
            raise LedgerError(f"{path}: line {number} does not follow the line before it")
        previous = claimed
        lines.append(line)
    return lines
