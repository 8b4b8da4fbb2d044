import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from madang.text import sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["Hi there!", "How are you?", "Fine... maybe.", "OK"],
        ["The U.S. army paid $3.5 at 7.30 p.m. today.", "Mr. Kim left."],
        ["He left at 5 p.m.", "Then she came."],
        ["J. K. Rowling wrote it, e.g. in 1999.", "No. 5 is alive."],
        ["Say no.", "Go!"],
        ["See https://a.com/x.y?z=1.2 for more.", "Or example.com."],
        ["Ask @some.one about it.", "He knows v1.2.3 well."],
        ['He said "No."', "Then he left."],
        ["(Really?)", "Yes, really."],
        ["It works!!! 🎉🎉", "Try it 😂"],
        ["Wait…what?", "no"],
        ["So good! :)", "Thanks"],
        [
            "오늘 날씨가 좋다.",
            "내일은 비가 온대요ㅠㅠ",
            "어떡하지 ㅋㅋㅋ",
            "그래도 간다!! 🎉🎉",
            "가자",
        ],
        ["안녕하세요.", "반갑습니다.", "저는 3.5km를 걸었어요."],
        ["배는 7.30에 떠납니다.", "늦지 마세요~"],
        ["“늦었어요.”", "그가 말했다."],
        ["そうです。", "はい！", "わかりました"],
        ["2026. 11. 23. 공지입니다.", "2026.11.23. 끝났습니다.", "확인 바랍니다."],
        ["..."],
    ],
)
def test_sentences(expected: list[str]) -> None:
    text = " ".join(expected)
    if "そうです。" in expected:
        text = "".join(expected)
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_glued_korean_sentences() -> None:
    text = "안녕하세요.반갑습니다.정말요?네!"
    expected = ["안녕하세요.", "반갑습니다.", "정말요?", "네!"]
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_lines_and_bullets() -> None:
    text = "알림\n1. 배 시간 변경\n2) 표는 매표소에서\n- one\n• two. three\r\n\n  끝  "
    assert [text[start:end] for start, end in sentences(text)] == [
        "알림",
        "1. 배 시간 변경",
        "2) 표는 매표소에서",
        "- one",
        "• two.",
        "three",
        "끝",
    ]


PIECES = st.sampled_from(
    [
        *"가다요 .!?…。？()\"'”\n\t\u2028\u3000aA1:-*•ㅋㅠ😂🎉\ufe0f\u200d",
        ". ",
        "Mr. ",
        "e.g. ",
        "다. ",
        "3.5",
        "https://a.b/c. ",
        "@a.b ",
        "U.S. ",
        "ㅋㅋ ",
        "!! ",
        "1. ",
        "- ",
    ]
)


@given(st.text() | st.lists(PIECES, max_size=40).map("".join))
@example("1. ")
@example("\x1c.\x1f가. \x85ㅋㅋ")
def test_every_character_that_is_not_space_is_in_exactly_one_sentence(text: str) -> None:
    spans = sentences(text)
    covered = [False] * len(text)
    last = 0
    for start, end in spans:
        assert last <= start < end
        assert text[start:end] == text[start:end].strip()
        covered[start:end] = [True] * (end - start)
        last = end
    assert all(inside or c.isspace() for inside, c in zip(covered, text, strict=True))


@pytest.mark.parametrize(
    "unit",
    [
        ".",
        "a.",
        "A. ",
        "가.",
        "1.",
        "ㅋ",
        "😂 ",
        "http://",
        "- ",
        ")",
        "?!",
        "@",
        "-@",
        "a-",
        "a@",
        "가ㅋㅋa",
    ],
)
def test_hostile_texts_take_linear_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    started = time.process_time()
    sentences(text)
    assert time.process_time() - started < 4
