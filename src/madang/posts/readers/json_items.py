"""The items of one long JSON array, one by one, out of a stream of bytes.

An item that is broken does not take its neighbours with it, and an array that is cut gives all
items before the cut. Only one item is in memory at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from madang.posts.readers.json_values import parse_json

# A post of X or Mastodon is a few kilobytes; the longest of X (25,000 characters) some 200.
MAX_ITEM_BYTES: Final = 8 << 20
MAX_PREAMBLE_BYTES: Final = 1 << 20
# A post nests ten deep. Deeper is broken, and found out before much has been read in vain.
MAX_DEPTH: Final = 40

# From anywhere outside a string to the next bracket, over whole strings.
_TO_BRACKET: Final = re.compile(
    rb'[^"{}\[\]]*+(?:"(?:[^"\\]++|\\.)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL
)
_SPACE: Final = re.compile(rb"[\s]*+")
_SCALAR: Final = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+"|[^,\[\]{}"])++', re.DOTALL)
_INDENT: Final = re.compile(rb"\n[ \t]*+\Z")
_OPENING: Final = re.compile(rb'[{\[\s]++("(?:[^"\\]++|\\.){1,64}+")\s*+:')


_OPENING_BYTES: Final = 256
_CLOSING: Final = {ord("{"): ord("}"), ord("["): ord("]")}
_LENIENT: Final = json.JSONDecoder(strict=False)
# At the end of a cut item a word or an escape may be cut as well: `fals`, `\\ud83`.
_LAST_WORD: Final = 8


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
        self._broken_at: int | None = None
        self._resumption: re.Pattern[bytes] | None = None
        self._own_lines = False
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
                self._at = start + 1
                self.complete = self._key is not None or self._nothing_follows()
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
        if self._resumption is None:
            self._learn_opening()
        end = self._balanced_end()
        if end is None:
            return self._recover(number)
        start, self._at = self._at, end
        try:
            return Item(number, parse_json(self._buffer[start:end]))
        except ValueError:
            # With a quote lost, the brackets of several items can pass for those of one.
            if self._resumption is not None and self._own_lines:
                error = _first_error(self._buffer[start:end]) or 0
                match = self._resumption.search(self._buffer, start + error, end)
                self._at = match.end() if match else end
            return Item(number, problem="is not valid JSON")

    def _learn_opening(self) -> None:
        """Remember what stands before the next item if it opens as this one does.

        Where items begin on lines of their own, the same indentation, which nothing inside an
        item has. On one line, an object whose first key is the same.
        """
        indent = _INDENT.search(self._buffer, max(0, self._at - _OPENING_BYTES), self._at)
        if indent:
            self._own_lines = True
            self._resumption = re.compile(re.escape(indent[0]) + rb"(?=\{)")
            return
        opening = _OPENING.match(self._buffer, self._at, self._at + _OPENING_BYTES)
        if opening:
            key = re.escape(opening[1])
            self._resumption = re.compile(rb",\s*(?=\{\s*" + key + rb"\s*:)")

    def _balanced_end(self) -> int | None:
        """Return where the item at `_at` ends.

        None where its brackets do not match (`_broken_at` says where), where it is too long, or
        where the stream ends before it.
        """
        open_brackets = bytearray()
        position = self._at
        self._broken_at = None
        while True:
            match = _TO_BRACKET.match(self._buffer, position)
            if match is None:
                moved = self._at
                if len(self._buffer) - self._at > MAX_ITEM_BYTES or not self._more():
                    return None
                position -= moved
                continue
            position = match.end()
            bracket = match[1][0]
            if bracket in _CLOSING:
                open_brackets.append(_CLOSING[bracket])
                if len(open_brackets) > MAX_DEPTH:
                    self._broken_at = position
                    return None
            elif open_brackets.pop() != bracket:
                self._broken_at = position - 1
                return None
            elif not open_brackets:
                return position
            if position - self._at > MAX_ITEM_BYTES:
                return None

    def _recover(self, number: int) -> Item:
        """Go on behind an item without an end: where the next one opens as those before did."""
        limit = min(len(self._buffer), self._at + MAX_ITEM_BYTES)
        end = limit if self._broken_at is None else self._broken_at
        error = _first_error(self._buffer[self._at : end])
        problem = "is not valid JSON"
        if error is None and self._broken_at is None:
            if self._ended:
                self._at = len(self._buffer)
                return Item(number, problem="is cut by the end of the file")
            problem = f"is longer than {MAX_ITEM_BYTES >> 20} MiB"
        self._at = end if error is None else self._at + max(error, 1)
        while self._resumption is not None:
            match = self._resumption.search(self._buffer, self._at)
            if match:
                self._at = match.end()
                return Item(number, problem=problem)
            self._at = max(self._at, len(self._buffer) - _OPENING_BYTES)
            if not self._more():
                break
        self._at = len(self._buffer)
        self._chunks = iter(())
        return Item(number, problem=problem)

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

    def _nothing_follows(self) -> bool:
        start = self._skip_space()
        return start is None or self._buffer[start : start + 1] == b";"

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


def _first_error(item: bytes) -> int | None:
    """Return where an item without an end is broken; none where it is only cut.

    A separator before the place belongs to what follows, which may be the next item.
    """
    text = item.decode("utf-8", "surrogateescape")
    try:
        _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated") or error.pos >= len(text) - _LAST_WORD
        before = text[: error.pos].rstrip().removesuffix(",")
        return None if cut else len(before.encode("utf-8", "surrogateescape"))
    except RecursionError:
        return 1
    return None
