from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.engines.sse import MAX_EVENT_BYTES, EventStream

LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


def feed(*chunks: bytes) -> list[str]:
    stream = EventStream()
    return [event for chunk in chunks for event in stream.feed(chunk)]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in at), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(LINE.filter(bool)), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0)))
def test_events_survive_any_cut_and_line_ending(events: list[str], end: str, at: list[int]) -> None:
    data = "".join(f"data: {event}{end}{end}" for event in events).encode()
    assert feed(*cut(data, at)) == events


@given(st.binary(max_size=400), st.lists(st.integers(0)))
def test_any_bytes_read_the_same_however_they_are_cut(data: bytes, at: list[int]) -> None:
    assert feed(*cut(data, at)) == feed(data)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b": a comment\n\ndata: a\n\n", ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a\n\n", [" a"]),
        (b"event: ping\nid: 3\nretry: 5\ndata: a\n\n", ["a"]),
        (b"event: ping\n\ndata: a\n\n", ["a"]),
        (b"data: a\n\ndata: not finished", ["a"]),
        (b"data: a\n", []),
        (b"data\n\n", [""]),
        ("data: 안녕\n\n".encode(), ["안녕"]),
    ],
)
def test_the_standard_is_followed(stream: bytes, events: list[str]) -> None:
    assert feed(stream) == events
    assert feed(*(stream[i : i + 1] for i in range(len(stream)))) == events


@pytest.mark.parametrize("line", [b"x" * 4096, b"data: " + b"x" * 4096 + b"\n"])
def test_an_event_without_end_is_refused(line: bytes) -> None:
    stream = EventStream()
    with pytest.raises(ValueError, match="longer than"):
        for _ in range(MAX_EVENT_BYTES // 4096 + 2):
            stream.feed(line)
