"""Streams of bytes out of files, plain or compressed: bounded, and lenient where a file ends early.

A stream is an iterator of chunks. Each step (`gunzip`, `unzstd`, `as_utf8`) takes one and gives
one, so that no file is ever held in memory as a whole.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

CHUNK: Final = 1 << 18

# No honest file comes near these. JSON of posts shrinks to a fifteenth, at most a fortieth.
MAX_UNPACKED_BYTES: Final = 256 << 30
MAX_RATIO: Final = 200
# Below this the ratio says nothing: a small file of one repeated post is not an attack.
RATIO_GRACE_BYTES: Final = 64 << 20

# Dumps of large communities are packed with zstd's longest window, 2 GiB.
_ZSTD_MAX_WINDOW: Final = 1 << 31
# A zstd block of 4 bytes can unpack to 128 KiB, and the library unpacks all that it is given.
_ZSTD_BITE: Final = 1 << 10

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
GZIP_MAGIC: Final = b"\x1f\x8b"


class UnreadableFile(ValueError):  # noqa: N818
    """A file that cannot be read at all, or that is refused; the message is one sentence."""

    def __init__(self, message: str) -> None:
        # Names of files and columns come from the file: no line break, no escape of a terminal.
        super().__init__("".join(char if char.isprintable() else "\ufffd" for char in message))


@dataclass(slots=True)
class ReadState:
    """How far the reading of one file has come, and whether the file ended early."""

    name: str
    read: int = 0
    total: int | None = None
    ended_early: str | None = None

    def note_early_end(self, where: str, what: str = "ends early") -> None:
        """Remember the first place where the file was cut or damaged."""
        if self.ended_early is None:
            self.ended_early = f"{where} {what}; imported what is whole"


def check_size(name: str, packed: int, unpacked: int) -> None:
    """Refuse a compression bomb, by what has really been read and not by what headers claim.

    Raises UnreadableFile where `unpacked` bytes out of `packed` are too many.
    """
    if unpacked > MAX_UNPACKED_BYTES:
        raise UnreadableFile(
            f"{name} unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB and is refused"
        )
    if unpacked > RATIO_GRACE_BYTES and unpacked > packed * MAX_RATIO:
        raise UnreadableFile(
            f"{name} unpacks to more than {MAX_RATIO} times its size and is refused "
            "as a compression bomb"
        )


def file_chunks(
    path: Path, state: ReadState, *, offset: int = 0, length: int | None = None
) -> Iterator[bytes]:
    """Yield a file's bytes from `offset`, `length` of them or all. Counts them in `state.read`.

    Raises UnreadableFile where the file cannot be opened.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        if offset:
            file.seek(offset)
        left = length
        while left is None or left > 0:
            chunk = file.read(CHUNK if left is None else min(CHUNK, left))
            if not chunk:
                break
            if left is not None:
                left -= len(chunk)
            state.read += len(chunk)
            yield chunk


def gunzip(chunks: Iterator[bytes], name: str, state: ReadState) -> Iterator[bytes]:
    """Unpack gzip, of one member or several. Where it is cut, what is whole comes out.

    Raises UnreadableFile on a compression bomb.
    """
    inflater = zlib.decompressobj(wbits=31)
    packed = unpacked = 0
    open_member = False
    for chunk in chunks:
        packed += len(chunk)
        data = chunk
        while data:
            if not open_member:
                data = data.lstrip(b"\x00")
                if not data:
                    break
                open_member = True
            try:
                piece = inflater.decompress(data, CHUNK)
            except zlib.error:
                state.note_early_end(name, "is damaged")
                return
            unpacked += len(piece)
            check_size(name, packed, unpacked)
            if piece:
                yield piece
            if inflater.eof:
                data = inflater.unused_data
                inflater = zlib.decompressobj(wbits=31)
                open_member = False
            else:
                data = inflater.unconsumed_tail
    if open_member:
        state.note_early_end(name)


def unzstd(chunks: Iterator[bytes], name: str, state: ReadState) -> Iterator[bytes]:
    """Unpack zstandard, of one frame or several. Where it is cut, what is whole comes out.

    Raises UnreadableFile on a compression bomb.
    """
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW)
    frame = context.decompressobj()
    packed = unpacked = 0
    open_frame = False
    for chunk in chunks:
        packed += len(chunk)
        view = memoryview(chunk)
        pieces: list[bytes] = []
        gathered = 0
        for start in range(0, len(chunk), _ZSTD_BITE):
            data = bytes(view[start : start + _ZSTD_BITE])
            while data:
                try:
                    piece = frame.decompress(data)
                except (zstandard.ZstdError, MemoryError):
                    yield b"".join(pieces)
                    state.note_early_end(name, "is damaged")
                    return
                open_frame = not frame.eof
                data = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = context.decompressobj()
                if piece:
                    pieces.append(piece)
                    gathered += len(piece)
                    unpacked += len(piece)
                    check_size(name, packed, unpacked)
            if gathered >= CHUNK:
                yield b"".join(pieces)
                pieces.clear()
                gathered = 0
        if pieces:
            yield b"".join(pieces)
    if open_frame:
        state.note_early_end(name)


def inflate(chunks: Iterator[bytes], name: str, state: ReadState) -> Iterator[bytes]:
    """Unpack one raw deflate stream, as members of a zip are packed."""
    inflater = zlib.decompressobj(wbits=-15)
    packed = unpacked = 0
    for chunk in chunks:
        packed += len(chunk)
        data = chunk
        while data:
            try:
                piece = inflater.decompress(data, CHUNK)
            except zlib.error:
                state.note_early_end(name, "is damaged")
                return
            unpacked += len(piece)
            check_size(name, packed, unpacked)
            if piece:
                yield piece
            if inflater.eof:
                return
            data = inflater.unconsumed_tail
    state.note_early_end(name)


def as_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a byte order mark; turn UTF-16 that has one into UTF-8; leave all else as it is."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= 3:
            break
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
        yield decoder.decode(start).encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
        return
    start = start.removeprefix(codecs.BOM_UTF8)
    if start:
        yield start
    yield from chunks


class Puller:
    """Takes exact numbers of bytes out of a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.position = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the stream."""
        pieces = list(self.pieces(size))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, size: int) -> int:
        """Pass over `size` bytes; return how many there were."""
        return sum(len(piece) for piece in self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes as they come."""
        while size > 0:
            chunk = self._rest or next(self._chunks, b"")
            if not chunk:
                return
            piece, self._rest = chunk[:size], chunk[size:]
            size -= len(piece)
            self.position += len(piece)
            yield piece
