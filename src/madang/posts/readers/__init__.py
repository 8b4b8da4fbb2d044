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
from madang.posts.readers.streams import UnreadableFile
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


class OpenedReader:
    """A file whose format is known. Iterate once, to the end.

    Iterating raises UnreadableFile where a compression bomb shows only while it is unpacked.
    """

    def __init__(self, format_name: str, container: Container, records: Iterator[Record]) -> None:
        self.format = format_name
        self._container = container
        self._records = records

    def __iter__(self) -> Iterator[Record]:
        return self._records

    @property
    def progress(self) -> tuple[int, int | None]:
        """Bytes read so far, and bytes in all where that is known; both of the packed file."""
        state = self._container.state
        return state.read, state.total

    @property
    def truncated(self) -> str | None:
        """After iteration: a sentence where the file ends early or is damaged, else none."""
        return self._container.state.ended_early


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
    for one in FORMATS:
        if one.sniff(container):
            return OpenedReader(one.NAME, container, one.read(container, source, columns))
    raise UnreadableFile(
        f"{path} is none of the formats that can be read: an X or Mastodon archive, JSON lines, "
        "or CSV with a header"
    )
