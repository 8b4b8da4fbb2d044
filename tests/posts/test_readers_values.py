"""Ids, times, and yes and no, as people, programs and spreadsheets write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.posts.readers.values import (
    has_prefix,
    is_source_name,
    read_bool,
    read_id,
    read_time,
    source_name,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("570306000000000001", "570306000000000001"),
        (" 12 ", "12"),
        (12, "12"),
        (0, "0"),
        (2**64, "18446744073709551616"),
        (3.0, "3"),
        ("3.0", "3"),
        (float(2**53 - 1), "9007199254740991"),
        ("reddit:7e46", "reddit:7e46"),
        ("reddit:7e463", "reddit:7e463"),
        ("1247fn", "1247fn"),
        ("12e45", "12e45"),
        ("x:1", "x:1"),
        ("1512085950.000216", "1512085950.000216"),
        ("글-12", "글-12"),
        ("at://did:plc:abc/app.bsky.feed.post/3k", "at://did:plc:abc/app.bsky.feed.post/3k"),
    ],
)
def test_ids(value, expected):
    assert read_id(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "5.70306E+17",
        "5.70306e+17",
        "5,70306E+17",
        "-5.70306E+17",
        "5.7e17",
        "1E+18",
        "1E18",
        "1e18",
        "1.2e18",
        "x:5.70306E+17",
        5.70306e17,
        float(2**53),
        0.5,
        math.nan,
        math.inf,
        -math.inf,
        "9007199254740993.0",
        "nan",
        "NaN",
        "None",
        "null",
        "#N/A",
        "#REF!",
        "inf",
        "",
        "   ",
        None,
        True,
        False,
        [],
        {},
        "a" * 501,
        10**501,
        "a\nb",
        "a b",
        "a\x00b",
        "a\x7f",
        "a\u2028b",
        "\ud800",
    ],
)
def test_what_is_no_id(value):
    assert read_id(value) is None


@given(st.integers(0, 2**53 - 1))
def test_a_whole_float_is_the_integer_that_it_was(number):
    assert read_id(float(number)) == read_id(number) == read_id(f"{number}") == str(number)


@given(st.integers(10**15, 10**20), st.integers(2, 14))
def test_what_a_spreadsheet_makes_of_a_long_number_is_never_an_id(number, digits):
    shown = f"{number:.{digits}E}"
    for written in (shown, shown.lower(), shown.replace("+", ""), shown.replace(".", ",")):
        assert read_id(written) is None


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.binary()))
def test_an_id_is_one_clean_line_or_none(value):
    identifier = read_id(value)
    if identifier is not None:
        assert identifier == identifier.strip()
        assert 0 < len(identifier) <= 501
        identifier.encode()
        assert not any(char.isspace() or ord(char) < 32 for char in identifier if char < "\x80")
        assert read_id(identifier) == identifier


@pytest.mark.parametrize("identifier", ["x:1", "at://did", "마당:1", "a+b.c-d:1", "리뷰2:가"])
def test_ids_with_a_prefix(identifier):
    assert has_prefix(identifier)


@pytest.mark.parametrize("identifier", ["1", "1:2", "X:1", "x:", "x: 1", ":1", "re view:1", "_a:1"])
def test_ids_without_a_prefix(identifier):
    assert not has_prefix(identifier)


@given(st.text(max_size=60))
def test_any_text_makes_a_source_whose_ids_have_a_prefix(text):
    name = source_name(text)
    assert is_source_name(name)
    assert has_prefix(f"{name}:1")
    assert source_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Reviews", "reviews"),
        ("My Posts (2024)", "my-posts-2024"),
        ("2024", "file-2024"),
        ("리뷰", "리뷰"),
        ("!!", "file"),
    ],
)
def test_source_names(text, name):
    assert source_name(text) == name


MOMENT = datetime(2024, 11, 9, 12, 14, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "Sat Nov 09 12:14:18 +0000 2024",
        "Sat Nov 09 21:14:18 +0900 2024",
        "Sat, 09 Nov 2024 12:14:18 GMT",
        "Sat, 9 Nov 2024 21:14:18 +0900",
        "2024-11-09T12:14:18Z",
        "2024-11-09T12:14:18.000Z",
        "2024-11-09T21:14:18+09:00",
        "2024-11-09 12:14:18",
        "2024-11-09 12:14:18 UTC",
        " 2024-11-09T12:14:18 ",
        "2024-11-09 12:14:18+0000",
        "2024/11/09 12:14:18",
        "2024. 11. 9. 12:14:18",
        "2024.11.09 12:14:18",
        MOMENT.timestamp(),
        int(MOMENT.timestamp()),
        int(MOMENT.timestamp() * 1000),
        str(int(MOMENT.timestamp())),
        str(int(MOMENT.timestamp() * 1000)),
        f"{MOMENT.timestamp()}",
    ],
)
def test_times(value):
    moment = read_time(value)
    assert moment == MOMENT
    assert moment is not None
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("value", ["2024-11-09", "20241109", "2024/11/9", "2024. 11. 9."])
def test_a_date_alone_is_its_first_moment(value):
    assert read_time(value) == datetime(2024, 11, 9, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", "  ", "nan", "NaT", "None", "null", math.nan])
def test_missing_times(value):
    assert read_time(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "어제",
        "2024-13-01",
        "2024-02-30",
        "2024/02/30",
        "2024",
        "1969-12-31T23:59:59Z",
        "2100-01-01",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "Xxx Foo 09 12:14:18 +0000 2024",
        "Sat Nov 99 12:14:18 +0000 2024",
        -1,
        1e30,
        -1e30,
        math.inf,
        10**400,
        45231,
        "45231.5",
        True,
        [],
        {},
        "1" * 5000,
        "x" * 5000,
    ],
)
def test_what_is_no_time(value):
    with pytest.raises(ValueError, match=r"^(is|lies) "):
        read_time(value)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_every_zone_is_turned_into_utc(naive, minutes):
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert read_time(moment.isoformat()) == moment
    whole = moment.replace(microsecond=0)
    assert read_time(whole.strftime("%a %b %d %H:%M:%S %z %Y")) == whole
    assert read_time(naive.isoformat(" ")) == naive.replace(tzinfo=UTC)
    assert read_time(moment.timestamp()) == moment or moment.timestamp() < 1e5


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.binary()))
def test_a_time_is_within_bounds_or_a_value_error(value):
    try:
        moment = read_time(value)
    except ValueError:
        return
    assert moment is None or 1970 <= moment.year < 2100


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        ("TRUE", True),
        ("yes", True),
        (1, True),
        ("1.0", True),
        (False, False),
        (None, False),
        ("", False),
        ("0", False),
        ("No", False),
        (0.0, False),
        ("nan", False),
        ("maybe", None),
        (2, None),
        ([], None),
    ],
)
def test_yes_and_no(value, expected):
    assert read_bool(value) is expected
