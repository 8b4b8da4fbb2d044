"""Zip archives: through their central directory, or read forward where the end is missing."""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from madang.posts.readers.streams import (
    CHUNK,
    ReadState,
    UnreadableFile,
    check_size,
    file_chunks,
    inflate,
)

_LOCAL_HEADER: Final = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_CENTRAL_MAGIC: Final = b"PK\x01\x02"
_DESCRIPTOR_MAGIC: Final = b"PK\x07\x08"
_ENCRYPTED: Final = 0x1
_SIZE_FOLLOWS: Final = 0x8
_UNKNOWN_SIZE: Final = 0xFFFFFFFF

# What zipfile and the decompressors raise on damaged members.
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
)

ZIP_MAGICS: Final = (_LOCAL_MAGIC, b"PK\x05\x06")


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file of a zip. `packed` is its size in the zip, or none where only its end tells."""

    name: str
    packed: int | None
    encrypted: bool
    offset: int = 0
    method: int = zipfile.ZIP_DEFLATED


def open_directory(path: Path) -> zipfile.ZipFile | None:
    """Open a zip by its central directory; none where it is missing or damaged."""
    try:
        return zipfile.ZipFile(path)
    except _DAMAGE:
        return None


def list_directory(archive: zipfile.ZipFile, name: str) -> Iterator[ZipMember]:
    """Yield the files that a zip's directory names.

    Raises UnreadableFile on symbolic links and devices.
    """
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "no ordinary file"
            raise UnreadableFile(f"{name} holds {info.orig_filename!r}, which is {what}; refused")
        encrypted = bool(info.flag_bits & _ENCRYPTED)
        yield ZipMember(info.orig_filename, info.compress_size, encrypted)


def read_member(
    archive: zipfile.ZipFile, member: str, name: str, state: ReadState
) -> Iterator[bytes]:
    """Yield a member's bytes; where it is damaged, what comes before the damage."""
    info = archive.getinfo(member)
    before = state.read
    unpacked = 0
    try:
        with archive.open(info) as file:
            while chunk := file.read(CHUNK):
                unpacked += len(chunk)
                check_size(name, info.compress_size, unpacked)
                # How far inside the member is not told; by proportion is near enough for a bar.
                share = min(1.0, unpacked / max(info.file_size, 1))
                state.read = before + int(info.compress_size * share)
                yield chunk
    except NotImplementedError as error:
        raise UnreadableFile(
            f"{name} is packed by a method that cannot be read here; unpack the zip and import "
            "the folder"
        ) from error
    except UnreadableFile:
        raise
    except _DAMAGE:
        state.note_early_end(name, "is damaged")


def list_forward(path: Path, state: ReadState) -> Iterator[ZipMember]:
    """Yield the files of a zip whose directory is missing, by the headers before each file."""
    size = path.stat().st_size
    silent = ReadState(path.name)
    with path.open("rb") as file:
        position = 0
        while True:
            file.seek(position)
            header = file.read(_LOCAL_HEADER.size)
            if len(header) < _LOCAL_HEADER.size or header[:4] != _LOCAL_MAGIC:
                return
            (_, _, flags, method, _, _, _, packed, unpacked, name_size, extra_size) = (
                _LOCAL_HEADER.unpack(header)
            )
            raw_name = file.read(name_size)
            extra = file.read(extra_size)
            if len(raw_name) < name_size or len(extra) < extra_size:
                return
            name = raw_name.decode("utf-8" if flags & 0x800 else "cp437", "replace")
            start = position + _LOCAL_HEADER.size + name_size + extra_size
            encrypted = bool(flags & _ENCRYPTED)
            if packed == _UNKNOWN_SIZE:
                packed = _zip64_packed_size(extra, unpacked == _UNKNOWN_SIZE)
            if not flags & _SIZE_FOLLOWS or packed:
                yield ZipMember(name, packed, encrypted, start, method)
                position = start + packed
                if position > size:
                    return
                if flags & _SIZE_FOLLOWS:
                    position = _next_header(path, position)
                continue
            yield ZipMember(name, None, encrypted, start, method)
            end = _deflate_end(path, start, silent) if method == zipfile.ZIP_DEFLATED else start
            if end is None:
                return
            position = _next_header(path, end)


def read_forward(path: Path, member: ZipMember, name: str, state: ReadState) -> Iterator[bytes]:
    """Yield the bytes of a member that `list_forward` found, as far as they are there."""
    chunks = file_chunks(path, state, offset=member.offset, length=member.packed)
    if member.method == zipfile.ZIP_STORED:
        if member.packed is None:
            raise UnreadableFile(f"{name} has no size in a zip without a directory; unpack it")
        yield from chunks
    elif member.method == zipfile.ZIP_DEFLATED:
        yield from inflate(chunks, name, state)
    else:
        raise UnreadableFile(f"{name} is packed by a method that cannot be read here; unpack it")


def _zip64_packed_size(extra: bytes, unpacked_first: bool) -> int:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            skip = 8 if unpacked_first else 0
            field = extra[4 + skip : 12 + skip]
            return int.from_bytes(field, "little") if len(field) == 8 else 0
        extra = extra[4 + length :]
    return 0


def _deflate_end(path: Path, start: int, state: ReadState) -> int | None:
    """Return where the deflate stream that begins at `start` ends, or none where it is cut."""
    inflater = zlib.decompressobj(wbits=-15)
    packed = unpacked = 0
    for chunk in file_chunks(path, state, offset=start):
        packed += len(chunk)
        data = chunk
        while data:
            try:
                piece = inflater.decompress(data, CHUNK)
            except zlib.error:
                return None
            unpacked += len(piece)
            check_size(path.name, packed, unpacked)
            if inflater.eof:
                return start + packed - len(inflater.unused_data)
            data = inflater.unconsumed_tail
    return None


def _next_header(path: Path, position: int) -> int:
    """Return where the next header begins at or after `position`, past a data descriptor."""
    overlap = b""
    silent = ReadState(path.name)
    for chunk in file_chunks(path, silent, offset=position):
        window = overlap + chunk
        found = [at for at in (window.find(_LOCAL_MAGIC), window.find(_CENTRAL_MAGIC)) if at >= 0]
        if found:
            return position + min(found)
        position += len(window) - 3
        overlap = window[-3:]
    return position
