"""The items of one long JSON array, one by one, out of a stream of bytes.

An item that is broken does not take its neighbours with it, and an array that is cut gives all
items before the cut. Only one item is in memory at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from madang.posts.readers.json_values import parse_json

# A post of X or Mastodon is a few kilobytes; the longest of X (25,000 characters) some 200.
MAX_ITEM_BYTES: Final = 8 << 20
MAX_PREAMBLE_BYTES: Final = 1 << 20

# From anywhere outside a string to the next bracket, over whole strings.
_TO_BRACKET: Final = re.compile(
    rb'[^"{}\[\]]*+(?:"(?:[^"\\]++|\\.)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL
)
_SPACE: Final = re.compile(rb"[\s]*+")
_SCALAR: Final = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+"|[^,\[\]{}"])++', re.DOTALL)
_OPENING: Final = re.compile(rb'[{\[\s]++("(?:[^"\\]++|\\.){1,64}+")\s*+:')


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its place from 1, and its value, or what is wrong with it."""

    number: int
    value: Any = None
    problem: str | None = None


class JsonItems:
    """Iterates over the items of the first array of a stream, or of the array under `key`.

    After iteration `complete` says whether the array was closed.
    """

    def __init__(self, chunks: Iterator[bytes], key: str | None = None) -> None:
        self._chunks = chunks
        self._key = key
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._resumption: re.Pattern[bytes] | None = None
        self.complete = False

    def __iter__(self) -> Iterator[Item]:
        if not self.enter():
            return
        number = 0
        while True:
            start = self._skip_space()
            if start is None:
                return
            byte = self._buffer[start : start + 1]
            if byte == b"]":
                self.complete = True
                return
            if byte == b",":
                self._at = start + 1
                continue
            number += 1
            if byte in (b"{", b"["):
                yield self._composite(number)
            else:
                yield self._scalar(number)

    def enter(self) -> bool:
        """Move behind the `[` that opens the array; return whether there is one."""
        if self._key is None:
            while (found := self._buffer.find(b"[", self._at)) < 0:
                if len(self._buffer) > MAX_PREAMBLE_BYTES or not self._more():
                    return False
            self._at = found + 1
            return True
        wanted = re.compile(rb'"' + re.escape(self._key.encode()) + rb'"\s*:\s*\[\Z')
        depth = 0
        while True:
            match = _TO_BRACKET.match(self._buffer, self._at)
            if match is None:
                if len(self._buffer) - self._at > MAX_PREAMBLE_BYTES or not self._more():
                    return False
                continue
            if depth == 1 and wanted.search(match[0]):
                self._at = match.end()
                return True
            depth += 1 if match[1] in b"{[" else -1
            self._at = match.end()

    def _composite(self, number: int) -> Item:
        end = self._balanced_end()
        if end is None:
            return self._recover(number)
        raw = self._buffer[self._at : end]
        try:
            value = parse_json(raw)
        except ValueError:
            # A lost quote or bracket may have swallowed the items after this one.
            opening = self._resumption or _resumption(raw)
            resumed = opening.search(self._buffer, self._at + 1, end) if opening else None
            self._at = resumed.end() if resumed else end
            return Item(number, problem="is not valid JSON")
        if self._resumption is None:
            self._resumption = _resumption(raw)
        self._at = end
        return Item(number, value)

    def _balanced_end(self) -> int | None:
        """Return where the item at `_at` ends; none where it does not, within the limit."""
        depth = 0
        position = self._at
        while True:
            match = _TO_BRACKET.match(self._buffer, position)
            if match is None:
                if len(self._buffer) - self._at > MAX_ITEM_BYTES:
                    return None
                moved = self._at
                if not self._more():
                    return None
                position -= moved - self._at
                continue
            depth += 1 if match[1] in b"{[" else -1
            position = match.end()
            if depth == 0:
                return position
            if position - self._at > MAX_ITEM_BYTES:
                return None

    def _recover(self, number: int) -> Item:
        """Go on behind an item without an end: at what opens as the items before it did."""
        opening = self._resumption or _resumption(self._buffer[self._at : self._at + 256])
        while opening is not None:
            match = opening.search(self._buffer, self._at + 1)
            if match:
                self._at = match.end()
                return Item(number, problem="has no end")
            self._at = max(self._at, len(self._buffer) - 256)
            if not self._more():
                break
        else:
            while self._more():
                self._at = len(self._buffer)
        self._at = len(self._buffer)
        return Item(number, problem="is cut by the end of the file")

    def _scalar(self, number: int) -> Item:
        while True:
            match = _SCALAR.match(self._buffer, self._at)
            if match and (match.end() < len(self._buffer) or self._ended):
                break
            if len(self._buffer) - self._at > MAX_ITEM_BYTES or not self._more():
                match = _SCALAR.match(self._buffer, self._at)
                break
        if match is None:
            return self._recover(number)
        self._at = match.end()
        if self._ended and self._at == len(self._buffer):
            return Item(number, problem="is cut by the end of the file")
        try:
            return Item(number, parse_json(match[0].strip()))
        except ValueError:
            return Item(number, problem="is not valid JSON")

    def _skip_space(self) -> int | None:
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer):
                return self._at
            if not self._more():
                return None

    def _more(self) -> bool:
        """Read on; drop what lies before `_at`. Doubles what is held, so rescans stay linear."""
        held = len(self._buffer) - self._at
        pieces = [self._buffer[self._at :]]
        gathered = 0
        while gathered <= held:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                break
            pieces.append(chunk)
            gathered += len(chunk)
        self._buffer = b"".join(pieces)
        self._at = 0
        return gathered > 0


def _resumption(item: bytes) -> re.Pattern[bytes] | None:
    """Return what the next item looks like if it opens with the same key as this one."""
    opening = _OPENING.match(item)
    return re.compile(rb",\s*(?=\{\s*" + re.escape(opening[1]) + rb"\s*:)") if opening else None
