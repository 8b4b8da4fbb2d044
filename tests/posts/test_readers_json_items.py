"""Items of a long array, out of chunks of any size."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.posts.readers import json_items
from madang.posts.readers.json_items import JsonItems
from madang.posts.readers.json_values import parse_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\{}[],:'), max_size=15),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def items(data: bytes, size: int = 1 << 16, key: str | None = None) -> tuple[list, bool]:
    source = JsonItems((data[at : at + size] for at in range(0, len(data), size)), key)
    return list(source), source.complete


@given(st.lists(JSON, max_size=8), st.integers(1, 40), st.sampled_from([None, 0, 2]), st.booleans())
def test_items_come_out_as_they_went_in(values, size, indent, ascii_only):
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    found, complete = items(b"window.YTD.tweets.part0 = " + data, size)
    assert [item.value for item in found] == values
    assert [item.number for item in found] == list(range(1, len(values) + 1))
    assert all(item.problem is None for item in found)
    assert complete


@given(
    st.dictionaries(st.text(max_size=6), JSON, max_size=4),
    st.lists(JSON, max_size=5),
    st.integers(1, 40),
)
def test_the_array_under_a_key_is_found_at_the_top_only(head, values, size):
    head.pop("items", None)
    nested = {"deeper": {"items": [1, 2, 3]}, "text": '"items": [4', **head}
    data = json.dumps(nested | {"items": values, "after": [5]}).encode()
    found, complete = items(data, size, key="items")
    assert [item.value for item in found] == values
    assert complete


@given(st.lists(JSON, min_size=1, max_size=6), st.data())
def test_a_cut_array_gives_the_whole_items_before_the_cut(values, data):
    raw = json.dumps(values).encode()
    cut = data.draw(st.integers(1, len(raw) - 1))
    found, complete = items(raw[:cut], 7)
    assert not complete
    whole = [item.value for item in found if item.problem is None]
    assert whole == values[: len(whole)]
    assert len(found) - len(whole) <= 1


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_end(data, size):
    found, _ = items(b"[" + data, size)
    assert [item.number for item in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_what_stands_inside_a_cut_or_broken_item_is_no_item(indent):
    rows = [{"id": n, "answers": [{"id": 90 + n}, {"id": 80 + n}]} for n in range(4)]
    data = json.dumps(rows, indent=indent).encode()
    for cut in range(1, len(data)):
        found, _ = items(data[:cut])
        whole = [item.value for item in found if item.problem is None]
        assert whole == rows[: len(whole)]
        assert len(found) - len(whole) <= 1
    broken = data.replace(b'"id": 1,', b'"id": nope,')
    found, complete = items(broken)
    assert [item.value and item.value["id"] for item in found] == [0, None, 2, 3]
    assert complete


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    ("find", "put"), [(b': "', b": "), (b"{", b"{{"), (b"}", b"]"), (b"}", b""), (b'",', b",")]
)
def test_a_broken_item_costs_itself(indent, place, find, put):
    rows = [{"id": n, "text": f"글 [{n}] {{", "more": {"a": "b"}} for n in range(4)]
    parts = [json.dumps(row, ensure_ascii=False, indent=indent).encode() for row in rows]
    parts[place] = parts[place].replace(find, put, 1)
    between, around = (b",\n", b"\n") if indent else (b", ", b"")
    found, _ = items(b"[" + around + between.join(parts) + around + b"]", 64)
    whole = [item.value["id"] for item in found if item.problem is None]
    assert whole == [n for n in range(4) if n != place]
    assert len(found) == 4


def test_an_endless_item_costs_itself(monkeypatch):
    monkeypatch.setattr(json_items, "MAX_ITEM_BYTES", 2000)
    long = b'{"id": 2, "text": "' + b"x" * 10_000 + b'"}'
    found, complete = items(b'[{"id": 1}, ' + long + b', {"id": 3}, {"id": 4}]', 512)
    assert [item.value and item.value["id"] for item in found] == [1, None, 3, 4]
    assert complete


def test_items_nested_too_deeply_are_broken():
    deep = b"[" * 100_000 + b"]" * 100_000
    found, complete = items(b'[{"id": 1}, ' + deep + b', {"id": 2}]')
    assert [item.problem is None for item in found] == [True, False, True]
    assert complete


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"a\ud83d"', "a"),
        (rb'"\ude00a"', "a"),
        (rb'"\ud83d\ud83d\ude00"', "😀"),
        (b'{"a": Infinity}', {"a": float("inf")}),
    ],
)
def test_json_as_programs_write_it(raw, value):
    assert parse_json(raw) == value


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'"\xff"', b"NaNa", b"[" * 100_000 + b"NaN", b'"\\u12"']
)
def test_what_is_no_json(raw):
    with pytest.raises(ValueError):
        parse_json(raw)
