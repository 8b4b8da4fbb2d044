"""Erasure: a corpus that holds an erased post goes, whole; it can be made anew.

Needs nothing but Python, so that it also works where the parts for training are not installed.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from madang.corpus.hashing import short_hash

POSTS_FILE: Final = "posts.u64"
"""The 64-bit hashes of the posts that a corpus was made from, sorted once it is finished."""

BUILDING: Final = ".building-"
REMOVED: Final = ".removed-"

# Above this many, looking each up in an unsorted list takes longer than making the corpus anew.
_MOST_SOUGHT: Final = 64


def purge(corpora: Path, erased: set[str]) -> int:
    """Remove every corpus below `corpora` that was made from one of these posts.

    Call it after the log has taken in the erasure or the refusal. A corpus that is being made is
    looked through too, and what an earlier process left unfinished goes in any case; one whose
    list of posts cannot be read goes as well. Returns how many finished corpora were removed.
    """
    if not corpora.is_dir():
        return 0
    remove_abandoned(corpora)
    hashes = sorted({short_hash(post) for post in erased})
    removed = 0
    for folder in sorted(corpora.iterdir()):
        if folder.is_dir() and not folder.name.startswith(REMOVED) and _holds(folder, hashes):
            remove(folder)
            removed += not folder.name.startswith(BUILDING)
    return removed


def remove(folder: Path) -> None:
    """Remove a folder: at once from its place, then from the disk."""
    aside = folder.with_name(f"{REMOVED}{secrets.token_hex(8)}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def remove_abandoned(corpora: Path) -> None:
    """Remove what processes that have ended left behind."""
    for folder in corpora.glob(f"{REMOVED}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in corpora.glob(f"{BUILDING}*"):
        if not _is_running(folder.name.removeprefix(BUILDING).partition("-")[0]):
            remove(folder)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _holds(folder: Path, hashes: list[int]) -> bool:
    finished = not folder.name.startswith(BUILDING)
    if not hashes:
        return False
    try:
        with _mapped(folder / POSTS_FILE) as posts:
            if not finished:
                return len(hashes) > _MOST_SOUGHT or any(_among(posts, one) for one in hashes)
            with memoryview(posts) as raw, raw.cast("Q") as numbers:
                return any(
                    (place := bisect_left(numbers, one)) < len(numbers) and numbers[place] == one
                    for one in hashes
                )
    except FileNotFoundError:
        # A corpus that has only begun holds nothing yet.
        return finished
    except (OSError, ValueError, TypeError):
        # An empty or damaged list proves nothing.
        return finished


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _among(posts: mmap.mmap, number: int) -> bool:
    sought = number.to_bytes(8, "little")
    place = posts.find(sought)
    while place >= 0 and place % 8:
        place = posts.find(sought, place + 1)
    return place >= 0
