"""Tar archives, read forward: names and places of members, nothing extracted."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from madang.posts.readers.streams import Puller, ReadState, UnreadableFile

BLOCK: Final = 512
_REGULAR: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_LINKS: Final = frozenset({tarfile.LNKTYPE, tarfile.SYMTYPE})
_DEVICES: Final = frozenset({tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE})
# Longer than any path; what claims more is no name.
_MAX_EXTENDED_HEADER: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class TarMember:
    """A regular file of a tar archive; `offset` counts unpacked bytes."""

    name: str
    offset: int
    size: int


def is_tar(head: bytes) -> bool:
    """Return whether the first 512 bytes are a tar header (POSIX, GNU or the oldest kind)."""
    try:
        member = tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return bool(member.name)


def list_tar(puller: Puller, name: str, state: ReadState) -> Iterator[TarMember]:
    """Yield the regular files of a tar archive. Notes in `state` where it is cut or damaged.

    Raises UnreadableFile on links, devices and sparse members: no archive of posts has any.
    """
    long_name: str | None = None
    long_size: int | None = None
    while True:
        block = puller.take(BLOCK)
        if len(block) < BLOCK:
            state.note_early_end(name)
            return
        if not block.strip(b"\x00"):
            return
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError):
            state.note_early_end(name, "is damaged")
            return
        if member.size < 0:
            raise UnreadableFile(f"{name} holds a member of negative size and is refused")
        padded = -(-member.size // BLOCK) * BLOCK
        if member.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            if member.size > _MAX_EXTENDED_HEADER:
                raise UnreadableFile(f"{name} holds a name of {member.size} bytes and is refused")
            data = puller.take(padded)[: member.size]
            if member.type == tarfile.GNUTYPE_LONGNAME:
                long_name = data.rstrip(b"\x00").decode("utf-8", "surrogateescape")
            else:
                records = _pax_records(data)
                long_name = records.get("path", long_name)
                size = records.get("size", "")
                long_size = int(size) if size.isascii() and size.isdigit() else long_size
            continue
        path = long_name or member.name
        if member.type in _LINKS:
            raise UnreadableFile(
                f"{name} holds a link ({path!r}) and is refused; unpack it and import the folder"
            )
        if member.type in _DEVICES or member.type == tarfile.GNUTYPE_SPARSE:
            raise UnreadableFile(f"{name} holds {path!r}, which is no ordinary file; it is refused")
        size_now = member.size if long_size is None else long_size
        if member.type in _REGULAR and not path.endswith("/"):
            yield TarMember(path, puller.position, size_now)
        elif member.type == tarfile.DIRTYPE:
            yield TarMember(path.rstrip("/") + "/", puller.position, 0)
        padded = -(-size_now // BLOCK) * BLOCK
        long_name = long_size = None
        if puller.skip(padded) < padded:
            state.note_early_end(name)
            return


def _pax_records(data: bytes) -> dict[str, str]:
    """Read the records of a pax header (POSIX.1-2001); stop at the first broken one."""
    records: dict[str, str] = {}
    while data:
        digits, space, _ = data.partition(b" ")
        if not space or not digits.isdigit() or len(digits) > 6:
            break
        length = int(digits)
        if length <= len(digits) + 1 or length > len(data):
            break
        key, equals, value = data[len(digits) + 1 : length - 1].partition(b"=")
        if equals:
            records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    return records
