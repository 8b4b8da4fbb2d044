"""What a path holds, opened safely: a folder, a zip, a tar, or one file, packed or plain.

Nothing is ever extracted. Of a folder, zip or tar only the names that a format asks for can be
opened at all; what else lies there (direct messages, e-mail addresses, other people's posts) is
never read. Absolute paths, `..`, links, devices, encrypted members, two members of one name and
compression bombs are refused as a whole.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, Protocol

from madang.posts.readers.streams import (
    GZIP_MAGIC,
    ZSTD_MAGIC,
    Puller,
    ReadState,
    UnreadableFile,
    as_utf8,
    file_chunks,
    gunzip,
    unzstd,
)
from madang.posts.readers.tars import BLOCK, TarMember, is_tar, list_tar
from madang.posts.readers.zips import (
    ZIP_MAGICS,
    ZipMember,
    list_directory,
    list_forward,
    open_directory,
    read_forward,
    read_member,
)

MAX_MEMBERS: Final = 2_000_000
# How much of a bare file its format may be told by.
HEAD_BYTES: Final = 1 << 20

Kind = Literal["file", "folder", "archive"]
Wanted = Callable[[str], bool]

_ENDING: Final = re.compile(
    r"\.(?:gz|zst|zip|tar|tgz|jsonl|ndjson|json|js|csv|tsv|txt)$", re.IGNORECASE
)
_DRIVE: Final = re.compile(r"^[A-Za-z]:")


class Container(Protocol):
    """A path's content. `names` are the members that may be opened; a bare file has none.

    `head` is the beginning of a bare file, unpacked and in UTF-8, and empty for anything else.
    """

    kind: Kind
    path: Path
    state: ReadState
    names: tuple[str, ...]
    head: bytes

    def open(self, name: str = "") -> Iterator[bytes]:
        """Yield the bytes of a member, or of a bare file, in UTF-8.

        Raises KeyError for a name that is not in `names`, and UnreadableFile while it is read
        where it turns out to be a bomb.
        """
        ...

    def plan(self, names: Iterable[str]) -> None:
        """Say which members will be read, so that progress knows the whole."""
        ...


def open_container(path: Path, wanted: Wanted) -> Container:
    """Open a path. `wanted` says which member names may be opened.

    Raises UnreadableFile where there is nothing to read or what is there is refused.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableFile(f"{path} cannot be read: {reason}") from error
    if stat.S_ISDIR(status.st_mode):
        return Folder(path, wanted)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFile(f"{path} is neither a file nor a folder")
    head = b"".join(file_chunks(path, ReadState(path.name), length=BLOCK))
    if not head:
        raise UnreadableFile(f"{path} is empty")
    if head.startswith(ZIP_MAGICS):
        return Zip(path, wanted)
    bare = BareFile(path, _unpacker(head))
    if is_tar(Puller(bare.raw(ReadState(path.name))).take(BLOCK)):
        return Tar(bare, wanted)
    bare.look()
    if not bare.head:
        raise UnreadableFile(f"{path} is cut or damaged at its beginning; fetch it again")
    return bare


def safe_name(name: str, where: str) -> str:
    """Return a member's path with `/` between its parts.

    Raises UnreadableFile on an absolute path or one that leaves the archive.
    """
    path = name.replace("\\", "/")
    parts = path.split("/")
    if path.startswith("/") or _DRIVE.match(path) or ".." in parts or "\x00" in path:
        raise UnreadableFile(f"{where} holds {name!r}, a path that leaves the archive; refused")
    return "/".join(part for part in parts if part not in ("", "."))


def stem_of(path: Path) -> str:
    """Return a file's name without the endings that say how it is packed and written."""
    name = path.name
    while (cut := _ENDING.sub("", name)) and cut != name:
        name = cut
    return name


class BareFile:
    """One file, plain or packed."""

    kind: Kind = "file"

    def __init__(self, path: Path, unpack: Callable[..., Iterator[bytes]] | None) -> None:
        self.path = path
        self.state = ReadState(path.name, total=path.stat().st_size)
        self.names: tuple[str, ...] = ()
        self.head = b""
        self._unpack = unpack

    def look(self) -> None:
        """Read the head."""
        chunks = as_utf8(self.raw(ReadState(self.path.name)))
        self.head = Puller(chunks).take(HEAD_BYTES)

    def raw(self, state: ReadState) -> Iterator[bytes]:
        """Yield the unpacked bytes."""
        chunks = file_chunks(self.path, state)
        return self._unpack(chunks, self.path.name, state) if self._unpack else chunks

    @property
    def packed(self) -> bool:
        """Whether offsets into the unpacked bytes are not offsets into the file."""
        return self._unpack is not None

    def open(self, name: str = "") -> Iterator[bytes]:
        """Yield the unpacked bytes in UTF-8."""
        if name:
            raise KeyError(name)
        return as_utf8(self.raw(self.state))

    def plan(self, names: Iterable[str]) -> None:
        """Do nothing: the whole is the file."""


class Folder:
    """A folder on disk."""

    kind: Kind = "folder"

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.path = path
        self.state = ReadState(path.name)
        self.head = b""
        self._files = dict(self._find(path, "", wanted, depth=2))
        self.names = tuple(sorted(self._files))

    def _find(
        self, folder: Path, prefix: str, wanted: Wanted, depth: int
    ) -> Iterator[tuple[str, Path]]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise UnreadableFile(f"{folder} cannot be read: {error.strerror}") from error
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if depth:
                    yield from self._find(Path(entry.path), name + "/", wanted, depth - 1)
            elif wanted(name):
                if not entry.is_file(follow_symlinks=False):
                    raise UnreadableFile(
                        f"{entry.path} is a link or no ordinary file; refused, put the file "
                        "itself there"
                    )
                yield name, Path(entry.path)

    def open(self, name: str = "") -> Iterator[bytes]:
        """Yield a file's bytes in UTF-8."""
        return as_utf8(file_chunks(self._files[name], self.state))

    def plan(self, names: Iterable[str]) -> None:
        """Sum up the sizes of the files that will be read."""
        self.state.total = sum(self._files[name].stat().st_size for name in names)


class Zip:
    """A zip archive, also one whose end is missing."""

    kind: Kind = "archive"

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.path = path
        self.state = ReadState(path.name)
        self.head = b""
        self._directory: zipfile.ZipFile | None = open_directory(path)
        if self._directory is None:
            self.state.note_early_end(path.name)
            listing = list_forward(path, self.state)
        else:
            listing = list_directory(self._directory, path.name)
        self._members: dict[str, ZipMember] = {}
        for count, member in enumerate(listing):
            if count >= MAX_MEMBERS:
                raise UnreadableFile(f"{path} holds more than {MAX_MEMBERS} files; refused")
            name = safe_name(member.name, path.name)
            if member.name.endswith("/") or not wanted(name):
                continue
            if member.encrypted:
                raise UnreadableFile(
                    f"{path} is encrypted; unpack it with its password and import the folder"
                )
            if name in self._members:
                raise UnreadableFile(f"{path} holds {name} twice; refused")
            self._members[name] = member
        self.names = tuple(sorted(self._members))

    def open(self, name: str = "") -> Iterator[bytes]:
        """Yield a member's bytes in UTF-8."""
        member = self._members[name]
        label = f"{self.path.name}/{name}"
        if self._directory is None:
            return as_utf8(read_forward(self.path, member, label, self.state))
        return as_utf8(read_member(self._directory, member.name, label, self.state))

    def plan(self, names: Iterable[str]) -> None:
        """Sum up the packed sizes of the members that will be read."""
        sizes = [self._members[name].packed for name in names]
        known = [size for size in sizes if size is not None]
        self.state.total = sum(known) if len(known) == len(sizes) else None


class Tar:
    """A tar archive, plain or packed. A packed one is unpacked anew for each member opened."""

    kind: Kind = "archive"

    def __init__(self, file: BareFile, wanted: Wanted) -> None:
        self.path = file.path
        self.state = file.state
        self.head = b""
        self._file = file
        self._members: dict[str, TarMember] = {}
        silent = ReadState(self.path.name)
        listing = list_tar(Puller(file.raw(silent)), self.path.name, silent)
        for count, member in enumerate(listing):
            if count >= MAX_MEMBERS:
                raise UnreadableFile(f"{self.path} holds more than {MAX_MEMBERS} files; refused")
            name = safe_name(member.name, self.path.name)
            if member.name.endswith("/") or not wanted(name):
                continue
            if name in self._members:
                raise UnreadableFile(f"{self.path} holds {name} twice; refused")
            self._members[name] = member
        self.state.ended_early = silent.ended_early
        self.names = tuple(sorted(self._members))

    def open(self, name: str = "") -> Iterator[bytes]:
        """Yield a member's bytes in UTF-8."""
        return as_utf8(self._pieces(self._members[name]))

    def _pieces(self, member: TarMember) -> Iterator[bytes]:
        if not self._file.packed:
            yield from file_chunks(self.path, self.state, offset=member.offset, length=member.size)
            return
        self.state.read = 0
        puller = Puller(self._file.raw(self.state))
        puller.skip(member.offset)
        yield from puller.pieces(member.size)

    def plan(self, names: Iterable[str]) -> None:
        """Do nothing for a packed one, where the whole is the file; sum up a plain one."""
        if not self._file.packed:
            self.state.total = sum(self._members[name].size for name in names)


def _unpacker(head: bytes) -> Callable[..., Iterator[bytes]] | None:
    if head.startswith(GZIP_MAGIC):
        return gunzip
    # Seekable zstd files may begin with a skippable frame.
    if head.startswith(ZSTD_MAGIC) or (head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5):
        return unzstd
    return None
