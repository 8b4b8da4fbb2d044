from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.answer.values import same_value, values


def found(text: str) -> list[tuple[str, str, str]]:
    return [(value.kind, value.key, value.unit) for value in values(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("오후 5시", ("time", "17:00", "")),
        ("밤 10시 반", ("time", "22:30", "")),
        ("새벽 6시", ("time", "6:00", "")),
        ("여섯시", ("time", "6:00?", "")),
        ("07:40", ("time", "7:40", "")),
        ("7:40 pm", ("time", "19:40", "")),
        ("8 pm", ("time", "20:00", "")),
        ("12 am", ("time", "0:00", "")),
        ("noon", ("time", "12:00", "")),
        ("정오", ("time", "12:00", "")),
        ("10월 24일", ("date", "10-24", "")),
        ("24 October", ("date", "10-24", "")),
        ("October 24th", ("date", "10-24", "")),
        ("10/24", ("date", "10-24", "")),
        ("1만5천원", ("money", "15000", "won")),
        ("15,000 won", ("money", "15000", "won")),
        ("61만2천원", ("money", "612000", "won")),
        ("$3.50", ("money", "3.5", "usd")),
        ("71%", ("percent", "71", "")),
        ("55 percent", ("percent", "55", "")),
        ("055-000-2100", ("phone", "0550002100", "")),
        ("63명", ("number", "63", "person")),
        ("63 people", ("number", "63", "person")),
        ("11.4키로", ("number", "11.4", "kg")),
        ("두 마리", ("number", "2", "animal")),
        ("사흘", ("number", "3", "day")),
        ("twenty-six", ("number", "26", "")),
        ("two hours", ("number", "2", "hour")),
        ("2등", ("ordinal", "2", "")),
        ("second", ("ordinal", "2", "")),
        ("1931년", ("year", "1931", "")),
        ("목요일", ("weekday", "3", "")),
        ("Thursdays", ("weekday", "3", "")),
        ("9월에", ("month", "9", "")),
    ],
)
def test_reading(text: str, expected: tuple[str, str, str]) -> None:
    assert found(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "시작해서",
        "시간표",
        "강아지",
        "may I come",
        "the sun",
        "one of us",
        "하루종일이 아닌 나",
        "일본",
    ],
)
def test_no_time_or_date_where_there_is_none(text: str) -> None:
    assert not [v for v in values(text) if v.kind in ("time", "date", "weekday", "month", "money")]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5시", "17:00", True),
        ("오전 5시", "17:00", False),
        ("24일", "10월 24일", True),
        ("9월 24일", "10월 24일", False),
        ("15,000원", "1만5천원", True),
        ("15,000원", "15,000 dollars", False),
        ("12 people", "12명", True),
        ("12 hours", "12명", False),
    ],
)
def test_same_value(one: str, other: str, same: bool) -> None:
    assert same_value(values(one)[0], values(other)[0]) is same


@given(st.text(max_size=300))
def test_values_stand_in_the_text_in_order(text: str) -> None:
    last = 0
    for value in values(text):
        assert 0 <= value.start < value.end <= len(text)
        assert value.start >= last or value.start == last
        last = value.start


@given(st.integers(0, 10**9))
def test_a_number_is_the_same_with_and_without_commas(number: int) -> None:
    (plain,), (grouped,) = values(f"{number}원"), values(f"{number:,}원")
    assert (plain.kind, plain.key) == (grouped.kind, grouped.key) == ("money", str(number))
