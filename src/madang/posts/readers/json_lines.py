"""JSON lines, and one JSON array of rows: fields under our own names or under mapped ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from madang.posts.readers.containers import Container, stem_of
from madang.posts.readers.json_items import JsonItems
from madang.posts.readers.json_values import parse_json
from madang.posts.readers.lines import MAX_LINE_BYTES, line_blocks
from madang.posts.readers.rows import RecordMaker, check_columns, record_maker
from madang.posts.readers.streams import UnreadableFile
from madang.posts.reading import Record, Skipped

NAME: Final = "jsonl"
# At most so many rows of the head tell which columns there are.
SAMPLE_ROWS: Final = 10_000

_STARTS_ARRAY: Final = re.compile(rb"\s*\[")
_STARTS_OBJECT: Final = re.compile(rb"\s*\{")


def wants(name: str) -> bool:
    """Return false: rows are read from files that are named one by one, not out of archives."""
    return False


def sniff(container: Container) -> bool:
    """Return whether a bare file begins as JSON does."""
    head = container.head
    return bool(_STARTS_ARRAY.match(head) or _STARTS_OBJECT.match(head))


def read(
    container: Container, source: str | None, columns: Mapping[str, str] | None
) -> Iterator[Record]:
    """Yield one record for each line or item; blank lines are no rows.

    Raises UnreadableFile before the first record where no row is a whole object, or where a
    mapped column is not in the first rows.
    """
    is_array = _STARTS_ARRAY.match(container.head) is not None
    sample = list(_sample(container.head, is_array))
    file = str(container.path)
    if not sample:
        raise UnreadableFile(
            f"{file} looks like JSON, but none of its first rows is a whole object; expected one "
            "object on each line, or one array of objects"
        )
    present = list(dict.fromkeys(name for row in sample for name in row))
    names = check_columns(file, columns, present)
    make = record_maker(
        file,
        names,
        has_ids=names["id"] in present,
        source=source,
        stem=stem_of(container.path),
    )
    return _items(container, file, make) if is_array else _lines(container, file, make)


def _sample(head: bytes, is_array: bool) -> Iterator[Mapping[str, object]]:
    if is_array:
        for item in JsonItems(iter([head])):
            if isinstance(item.value, dict):
                yield item.value
            if item.number >= SAMPLE_ROWS:
                return
        return
    for line in head.split(b"\n", SAMPLE_ROWS)[:SAMPLE_ROWS]:
        try:
            row = parse_json(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _lines(container: Container, file: str, make: RecordMaker) -> Iterator[Record]:
    number = 0
    for lines, cut in line_blocks(container.open()):
        for line in lines:
            number += 1
            if not line:
                if line is None:
                    detail = f"the row is longer than {MAX_LINE_BYTES >> 20} MiB"
                    yield Skipped("malformed", file, number, detail)
                continue
            try:
                row = parse_json(line)
            except ValueError:
                if line.isspace():
                    continue
                if cut:
                    container.state.note_early_end(container.path.name)
                yield Skipped("malformed", file, number, _problem(line, cut))
                continue
            if isinstance(row, dict):
                yield make(row, number)
            else:
                yield Skipped("malformed", file, number, "the row is no JSON object")


def _problem(line: bytes, cut: bool) -> str:
    if cut:
        return "the row is cut by the end of the file"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "the row is not UTF-8"
    return "the row is not valid JSON"


def _items(container: Container, file: str, make: RecordMaker) -> Iterator[Record]:
    items = JsonItems(container.open())
    for item in items:
        if item.problem is not None:
            yield Skipped("malformed", file, item.number, f"the item {item.problem}")
        elif isinstance(item.value, dict):
            yield make(item.value, item.number)
        else:
            yield Skipped("malformed", file, item.number, "the item is no JSON object")
    if not items.complete:
        container.state.note_early_end(container.path.name)
