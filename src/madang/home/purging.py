"""Erasure reaches what models learn from: corpora that hold the post, and what runs quoted.

Works without the packages for training: a server that only answers obeys a deletion too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from madang.home.folder import Folder
from madang.posts import Event, PostLog

# Stands in the folder of corpora: events up to this number have been obeyed.
CURSOR: Final = ".obeyed"
_EVENTS: Final = 1000


def purge_corpora(folder: Folder, log: PostLog) -> int:
    """Remove every corpus that holds a post which may not be learned from any more.

    Runs lose the samples that they wrote, which may quote it; their figures stay. Returns how
    many corpora went; where nothing was withdrawn since the last call, next to nothing is done.
    """
    if not folder.corpus.is_dir():
        return 0
    upto = log.last_seq
    after = read_cursor(folder.corpus)
    if after >= upto:
        return 0
    withdrawn: set[str] = set()
    while events := log.read(after, _EVENTS):
        after = events[-1].seq
        withdrawn |= _withdrawn(log, events)
    removed = 0
    if withdrawn:
        # Imported here: a home without corpora never needs it.
        from madang.corpus.purge import purge

        removed = purge(folder.corpus, withdrawn)
        if removed:
            forget_samples(folder.runs)
    write_cursor(folder.corpus, after)
    return removed


def read_cursor(corpora: Path) -> int:
    """Return the number of the last event that the corpora obey; 0 where nobody knows."""
    try:
        return int((corpora / CURSOR).read_text())
    except (OSError, ValueError):
        return 0


def write_cursor(corpora: Path, seq: int) -> None:
    """Note the last event that the corpora obey."""
    fresh = corpora / f"{CURSOR}.{os.getpid()}"
    with suppress(FileNotFoundError):
        fresh.write_text(f"{seq}\n")
        fresh.replace(corpora / CURSOR)


def forget_samples(runs: Path) -> None:
    """Take the texts that models wrote on the way out of every run's metrics."""
    for metrics in runs.glob("*/metrics.jsonl"):
        lines = metrics.read_bytes().splitlines(keepends=True)
        kept = [line for line in map(_without_sample, lines) if line]
        if len(kept) != len(lines) or any(a != b for a, b in zip(kept, lines, strict=False)):
            fresh = metrics.with_name(f".{metrics.name}.{os.getpid()}")
            fresh.write_bytes(b"".join(kept))
            fresh.replace(metrics)


def _withdrawn(log: PostLog, events: Sequence[Event]) -> set[str]:
    """Return the posts that these events took away from learning."""
    gone = {one.post for one in events if one.kind == "delete" and one.post is not None}
    touched: set[int] = set()
    for one in events:
        if one.kind == "consent" and one.key is None and one.source and one.author:
            touched |= set(log.author_keys(one.source, one.author))
        elif one.kind in ("hide", "edit", "consent") and one.key is not None:
            touched.add(one.key)
    for keys in _in_parts(sorted(touched)):
        stored = log.stored(keys).values()
        gone |= {one.post.id for one in stored if not one.allows("train")}
    return gone


def _in_parts(keys: Sequence[int]) -> Iterable[Sequence[int]]:
    return (keys[start : start + _EVENTS] for start in range(0, len(keys), _EVENTS))


def _without_sample(line: bytes) -> bytes:
    if b'"sample"' not in line:
        return line
    try:
        entry = orjson.loads(line)
    except ValueError:
        return line
    entry.pop("sample", None)
    if set(entry) <= {"step", "seconds"}:
        return b""
    return orjson.dumps(entry) + b"\n"
