"""Lines out of a stream of bytes, of bounded length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MAX_LINE_BYTES: Final = 8 << 20


def line_blocks(chunks: Iterator[bytes]) -> Iterator[tuple[list[bytes | None], bool]]:
    """Yield blocks of lines without their line feeds, and whether the block's last one is cut off.

    Only the last line of a stream can be without a line feed. A line that is longer than
    MAX_LINE_BYTES comes as none.
    """
    rest = b""
    overlong = False
    for chunk in chunks:
        lines: list[bytes | None] = list((rest + chunk).split(b"\n"))
        last = lines.pop() or b""
        if overlong and lines:
            lines[0] = None
            overlong = False
        if len(last) > MAX_LINE_BYTES or overlong:
            overlong, last = True, b""
        rest = last
        if lines:
            yield lines, False
    if overlong:
        yield [None], True
    elif rest:
        yield [rest], True
