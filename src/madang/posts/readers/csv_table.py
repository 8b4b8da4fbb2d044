"""CSV: a table with a header, its delimiter found by looking, its columns mapped to fields."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from madang.posts.readers.containers import HEAD_BYTES, Container, stem_of
from madang.posts.readers.lines import MAX_LINE_BYTES
from madang.posts.readers.rows import RecordMaker, check_columns, record_maker
from madang.posts.readers.streams import UnreadableFile
from madang.posts.reading import Record, Skipped

NAME: Final = "csv"
# A record longer than this has lost a quote.
MAX_RECORD_BYTES: Final = 1 << 20

_DELIMITERS: Final = (",", ";", "\t", "|")
# Where the header has no delimiter there is one column; this character occurs in no text.
_NONE: Final = "\x1f"
# A carriage return inside a line: a line break of the text, which the csv module takes for an end.
_BREAK: Final = "\x1e"
_ENDS_IN_RETURN: Final = re.compile(rb"[^\r\n]*+\r(?!\n)")
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
_SAMPLE_RECORDS: Final = 50


def wants(name: str) -> bool:
    """Return false: tables are read from files that are named one by one, not out of archives."""
    return False


def sniff(container: Container) -> bool:
    """Return whether a bare file is text; what text it is, its header must tell."""
    head = container.head[:4096]
    strange = len(head) - len(head.translate(None, _CONTROLS))
    return bool(head) and strange * 20 <= len(head)


def read(
    container: Container, source: str | None, columns: Mapping[str, str] | None
) -> Iterator[Record]:
    """Yield one record for each record of the table; the header is none, the next one is row 1.

    Raises UnreadableFile before the first record where the text is not UTF-8, or where the header
    lacks a column that is needed.
    """
    file = str(container.path)
    _check_encoding(container.head, file)
    delimiter = _delimiter(container.head)
    lines = _Lines(container.open())
    records = _Records(lines, delimiter, width=0)
    header = next(records, None)
    if header is None or not any(name.strip() for name in header.cells):
        raise UnreadableFile(f"{file} has no header; the first line must name the columns")
    present = [name.strip() for name in header.cells]
    _check_known(present, delimiter, file)
    names = check_columns(file, columns, present)
    for column in set(names.values()):
        if present.count(column) > 1:
            raise UnreadableFile(f"{file} has two columns {column!r}; rename one of them")
    make = record_maker(
        file,
        names,
        has_ids=names["id"] in present,
        source=source,
        stem=stem_of(container.path),
    )
    records.width = len(present)
    return _rows(container, records, present, file, make)


def _rows(
    container: Container, records: _Records, columns: Sequence[str], file: str, make: RecordMaker
) -> Iterator[Record]:
    width = len(columns)
    for number, record in enumerate(records, 1):
        cells = record.cells
        if record.unterminated and (
            record.problem or len(cells) != width or container.state.ended_early
        ):
            records.cut = True
            yield Skipped("malformed", file, number, "the row is cut by the end of the file")
        elif record.problem is not None:
            yield Skipped("malformed", file, number, record.problem)
        elif len(cells) != width:
            detail = f"the row has {len(cells)} cells where the header has {width}"
            yield Skipped("malformed", file, number, detail)
        else:
            row = {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
            yield make(row, number)
    if records.cut:
        container.state.note_early_end(container.path.name)


def _check_encoding(head: bytes, file: str) -> None:
    """Refuse text in another encoding; single broken characters are their rows' own matter."""
    decoded = head.decode("utf-8", "replace")
    if len(head) >= HEAD_BYTES:
        decoded = decoded.rstrip("\ufffd")
    bad = decoded.count("\ufffd")
    if not bad or bad <= sum(1 for char in decoded if char >= "\x80") - bad:
        return
    as_korean = head.decode("cp949", "replace")
    korean = sum("가" <= char <= "힣" for char in as_korean) > 2 * as_korean.count("\ufffd")
    name = "cp949" if korean else "latin1"
    seems = " (it seems to be CP949, Korean Windows)" if korean else ""
    raise UnreadableFile(
        f"{file} is not UTF-8{seems}; save it as UTF-8, for example with "
        f"iconv -f {name} -t utf-8 FILE > NEW"
    )


def _check_known(columns: Sequence[str], delimiter: str, file: str) -> None:
    if delimiter == _NONE and (len(columns[0]) > 80 or not columns[0].isprintable()):
        raise UnreadableFile(
            f"{file} is none of the formats that can be read: an X or Mastodon archive, "
            "JSON lines, or CSV with a header"
        )


def _delimiter(head: bytes) -> str:
    """Return the delimiter that gives the most columns to rows as wide as the header."""
    best, best_score = _NONE, (0.0, 0)
    text = head[: 1 << 16]
    for delimiter in _DELIMITERS:
        sample = []
        for record in _Records(_Lines(iter([text])), delimiter, width=0):
            sample.append(record)
            if len(sample) > _SAMPLE_RECORDS:
                break
        width = len(sample[0].cells) if sample else 0
        if width < 2:
            continue
        rows = sample[1:-1] or sample[1:]
        even = sum(len(record.cells) == width for record in rows) / len(rows) if rows else 1.0
        if (even, width) > best_score:
            best, best_score = delimiter, (even, width)
    return best


class _Record:
    __slots__ = ("cells", "problem", "unterminated")

    def __init__(
        self, cells: list[str], problem: str | None = None, *, unterminated: bool = False
    ) -> None:
        self.cells = cells
        self.problem = problem
        self.unterminated = unterminated


class _TooLong(Exception):  # noqa: N818
    pass


class _Lines:
    """Lines with their ends, kept until the record that they belong to is whole."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._source = _split(chunks)
        self._again: deque[bytes] = deque()
        self.taken: list[bytes] = []
        self._size = 0
        self.broken_text = False
        self.inner_breaks = False
        self.unterminated = False
        self.open_quote_at_end = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source, None)
        if line is None:
            self.open_quote_at_end = bool(self.taken)
            raise StopIteration
        self.taken.append(line)
        self.unterminated = line[-1:] not in (b"\n", b"\r")
        self._size += len(line)
        if self._size > MAX_RECORD_BYTES:
            raise _TooLong
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.broken_text = True
            text = line.decode("utf-8", "replace")
        if "\r" in text:
            body = text.rstrip("\r\n")
            if "\r" in body:
                self.inner_breaks = True
                text = body.replace("\r", _BREAK) + "\n"
        return text

    def begin(self) -> None:
        """Forget the lines of the record before."""
        self.taken.clear()
        self._size = 0
        self.broken_text = False
        self.inner_breaks = False
        self.open_quote_at_end = False

    def give_back(self, lines: Sequence[bytes]) -> None:
        """Have lines read again."""
        self._again.extendleft(reversed(lines))


class _Records:
    """Records of a table. A lost quote costs the row that it stands in, not the rows after it."""

    def __init__(self, lines: _Lines, delimiter: str, width: int) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._reader = csv.reader(lines, delimiter=delimiter)
        self.width = width
        self.cut = False

    def __iter__(self) -> Iterator[_Record]:
        return self

    def __next__(self) -> _Record:
        while True:
            self._lines.begin()
            try:
                cells = next(self._reader)
            except (_TooLong, csv.Error):
                return self._after_first_line(
                    "the row has a quote that is not closed, or is too long"
                )
            if self._lines.open_quote_at_end:
                if self._looks_like_rows():
                    return self._after_first_line("the row has a quote that is not closed")
                self.cut = True
                return _Record(cells, "the row is cut by the end of the file")
            if not cells:
                continue
            if self._lines.broken_text:
                unterminated = self._lines.unterminated
                return _Record(cells, "the row is not UTF-8", unterminated=unterminated)
            if self._lines.inner_breaks:
                cells = [cell.replace(_BREAK, "\n") for cell in cells]
            return _Record(cells, unterminated=self._lines.unterminated)

    def _after_first_line(self, problem: str) -> _Record:
        self._lines.give_back(self._lines.taken[1:])
        # The reader is in the middle of the record that was given up.
        self._reader = csv.reader(self._lines, delimiter=self._delimiter)
        return _Record([], problem)

    def _looks_like_rows(self) -> bool:
        """Return whether rows follow an unclosed quote: then only the quote was lost."""
        if self.width < 2:
            return False
        return any(self._is_row(line) for line in self._lines.taken[1:])

    def _is_row(self, line: bytes) -> bool:
        text = line.decode("utf-8", "replace")
        try:
            return len(next(csv.reader([text], delimiter=self._delimiter), ())) == self.width
        except csv.Error:
            return False


def _split(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; one longer than MAX_LINE_BYTES comes in pieces.

    How the first line ends, all do: with a line feed or, as of old, with a carriage return.
    """
    rest = b""
    end = b"\n"
    for number, chunk in enumerate(chunks):
        if number == 0 and _ENDS_IN_RETURN.match(chunk):
            end = b"\r"
        lines = (rest + chunk).split(end)
        rest = lines.pop()
        yield from (line + end for line in lines)
        if len(rest) > MAX_LINE_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest
