"""Readers of archives and files of posts.

A format is one module with four names, and stands in `FORMATS` in the order in which it is tried:

- `NAME`: what the format is called;
- `wants(name)`: whether a member of a folder, zip or tar belongs to it. Only these are ever opened;
- `sniff(container)`: whether the content is of this format. Names of files decide nothing here;
- `read(container, source, columns)`: an iterator of one `Record` for each row. What cannot be
  read at all raises `UnreadableFile`, at the latest when the first record is asked for; a broken
  row is a `Skipped`.

`containers` unpacks and keeps bombs, links and stray paths out, so a format sees streams of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from madang.posts.readers import csv_table, json_lines, mastodon_archive, x_archive
from madang.posts.readers.containers import Container, open_container
from madang.posts.readers.rows import check_source
from madang.posts.readers.streams import GZIP_MAGIC, ZSTD_MAGIC, UnreadableFile
from madang.posts.readers.zips import ZIP_MAGICS
from madang.posts.reading import Record

__all__ = ["FORMATS", "Format", "OpenedReader", "UnreadableFile", "open_reader"]


class Format(Protocol):
    """What a module of a format offers."""

    @property
    def NAME(self) -> str:  # noqa: N802
        """What the format is called."""
        ...

    def wants(self, name: str) -> bool:
        """Return whether a member of a container belongs to this format and may be opened."""
        ...

    def sniff(self, container: Container) -> bool:
        """Return whether a container is of this format."""
        ...

    def read(
        self, container: Container, source: str | None, columns: Mapping[str, str] | None
    ) -> Iterator[Record]:
        """Yield one record for each row."""
        ...


FORMATS: Final[tuple[Format, ...]] = (x_archive, mastodon_archive, json_lines, csv_table)


class OpenedReader(Protocol):
    """A path whose format is known. Iterate once, to the end.

    Iterating raises UnreadableFile where a compression bomb shows only while it is unpacked.
    """

    @property
    def format(self) -> str:
        """The format's name; `folder` for a folder of several files."""
        ...

    def __iter__(self) -> Iterator[Record]: ...

    @property
    def progress(self) -> tuple[int, int | None]:
        """Bytes read so far, and bytes in all where that is known; both of the packed file."""
        ...

    @property
    def truncated(self) -> str | None:
        """After iteration: a sentence where a file ends early or is damaged, else none."""
        ...


def open_reader(
    path: Path, *, source: str | None = None, columns: Mapping[str, str] | None = None
) -> OpenedReader:
    """Find out what a path holds, by its content, and open it.

    `source` is set before ids that do not say where they come from, and is the source of rows
    that name none. `columns` maps fields to columns of CSV and JSON lines (`{"text": "review"}`);
    archives know their own fields. Raises UnreadableFile, with one sentence that names the file
    and the remedy, for what cannot be read or is refused.
    """
    source = check_source(source)
    container = open_container(path, lambda name: any(one.wants(name) for one in FORMATS))
    found = [one for one in FORMATS if one.sniff(container)]
    if len(found) > 1 and container.names:
        names = " and ".join(one.NAME for one in found)
        raise UnreadableFile(f"{path} holds {names} side by side; import them one by one")
    if found:
        one = found[0]
        return _OneFile(one.NAME, container, one.read(container, source, columns))
    if path.is_dir():
        return _SeveralFiles(path, source, columns)
    raise UnreadableFile(_unknown(container))


class _OneFile:
    """A file, or an archive that is one whole."""

    def __init__(self, format_name: str, container: Container, records: Iterator[Record]) -> None:
        self.format = format_name
        self._state = container.state
        self._records = records

    def __iter__(self) -> Iterator[Record]:
        return self._records

    @property
    def progress(self) -> tuple[int, int | None]:
        return self._state.read, self._state.total

    @property
    def truncated(self) -> str | None:
        return self._state.ended_early


class _SeveralFiles:
    """A folder that is no archive: every file in it that is not hidden must be of some format."""

    format = "folder"

    def __init__(self, path: Path, source: str | None, columns: Mapping[str, str] | None) -> None:
        self._files = sorted(
            one
            for one in path.iterdir()
            if one.is_file() and not one.is_symlink() and not one.name.startswith(".")
        )
        if not self._files:
            raise UnreadableFile(
                f"{path} holds no files of posts and no archive; links are not followed"
            )
        self._source = source
        self._columns = columns
        # All are looked at before the first is read, so that nothing is imported by halves.
        for file in self._files:
            self._open(file)
        self._total = sum(file.stat().st_size for file in self._files)
        self._done = 0
        self._current: OpenedReader | None = None
        self._truncated: list[str] = []

    def _open(self, file: Path) -> OpenedReader:
        return open_reader(file, source=self._source, columns=self._columns)

    def __iter__(self) -> Iterator[Record]:
        for file in self._files:
            self._current = self._open(file)
            yield from self._current
            if self._current.truncated:
                self._truncated.append(self._current.truncated)
            self._current = None
            self._done += file.stat().st_size

    @property
    def progress(self) -> tuple[int, int | None]:
        current = self._current.progress[0] if self._current else 0
        return self._done + current, self._total

    @property
    def truncated(self) -> str | None:
        return "; ".join(self._truncated) or None


def _unknown(container: Container) -> str:
    if container.kind == "archive" and container.state.ended_early:
        return f"{container.path} ends before any file of posts; fetch it again"
    if container.kind == "archive":
        return (
            f"{container.path} holds neither an X archive (data/tweets.js) nor a Mastodon archive "
            "(outbox.json); unpack it and name its files of posts"
        )
    if container.head.startswith((*ZIP_MAGICS, GZIP_MAGIC, ZSTD_MAGIC)):
        return f"{container.path} is packed twice; unpack it once"
    return (
        f"{container.path} is none of the formats that can be read: an X or Mastodon archive, "
        "JSON lines, or CSV with a header"
    )
