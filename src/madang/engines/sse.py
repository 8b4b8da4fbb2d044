"""Server-sent events: the stream that OpenAI-compatible servers answer with."""

from __future__ import annotations

from typing import Final

MAX_EVENT_BYTES: Final = 1 << 20


class EventStream:
    """Cuts a byte stream into the data of its events, as the HTML standard (9.2.6) reads it.

    Chunks may be cut anywhere, lines may end in LF, CR LF or CR; comments and the fields `event`,
    `id` and `retry` are left out. An event that the stream did not finish is never handed on.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[str] = []
        self._size = 0
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[str]:
        """Return the data of the events that this chunk completes.

        Raises ValueError where one event grows beyond MAX_EVENT_BYTES.
        """
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        events: list[str] = []
        for line in lines[:-1]:
            self._line += line
            self._end_line(events)
        self._line += lines[-1]
        if self._size + len(self._line) > MAX_EVENT_BYTES:
            raise ValueError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        return events

    def _end_line(self, events: list[str]) -> None:
        line = self._line.decode("utf-8", "replace")
        self._size += len(self._line)
        self._line.clear()
        if not self._started:
            self._started = True
            line = line.removeprefix("\ufeff")
        if not line:
            if self._data:
                events.append("\n".join(self._data))
            self._data.clear()
            self._size = 0
            return
        if self._size > MAX_EVENT_BYTES:
            raise ValueError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        field, _, value = line.partition(":")
        if field == "data":
            self._data.append(value.removeprefix(" "))
