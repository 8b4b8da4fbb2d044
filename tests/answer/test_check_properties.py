"""What holds for every post: its own sentences are borne, and none that was tampered with."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from madang.answer.check import supported
from madang.answer.polarity import negations
from madang.posts import Post
from madang.text import sentences

ENGLISH = st.sampled_from(
    [
        "the",
        "boat",
        "harbour",
        "leaves",
        "Gaonpo",
        "Mango",
        "cat",
        "found",
        "market",
        "ferry",
        "on",
        "Monday",
        "ticket",
        "4,500",
        "won",
        "at",
        "18:30",
        "for",
        "12",
        "people",
        "near",
        "school",
        "library",
        "Akira",
        "says",
        "bread",
        "costs",
        "two",
        "hours",
        "and",
        "Linh",
        "moved",
        "to",
        "window",
        "3",
        "of",
        "town",
        "hall",
        "with",
        "71%",
        "more",
        "rain",
        "over",
        "65",
        "in",
        "October",
    ]
)
KOREAN = st.sampled_from(
    [
        "배가",
        "항구에서",
        "떠납니다",
        "가온포",
        "망고를",
        "찾았습니다",
        "장터는",
        "월요일에",
        "열립니다",
        "4,500원",
        "오후",
        "6시에",
        "12명이",
        "학교",
        "앞",
        "도서관",
        "아키라가",
        "말했습니다",
        "빵은",
        "두",
        "시간",
        "린이",
        "3번",
        "창구로",
        "옮겼습니다",
        "71%",
        "비가",
        "65세",
        "이상",
        "10월",
        "19일로",
    ]
)
SENTENCE = st.one_of(
    st.lists(ENGLISH, min_size=4, max_size=12).map(
        lambda words: " ".join(words).capitalize() + "."
    ),
    st.lists(KOREAN, min_size=3, max_size=8).map(lambda words: " ".join(words) + "."),
)


def post(text: str) -> Post:
    return Post("t:1", "t", text, author="somebody")


@given(st.lists(SENTENCE, min_size=1, max_size=4))
def test_a_sentence_of_a_post_is_borne_by_it(written: list[str]) -> None:
    text = " ".join(written)
    for start, end in sentences(text):
        verdict = supported(text[start:end], [post(text)])
        assert verdict.supported
        assert verdict.post == "t:1"


@given(st.text(min_size=1, max_size=200))
def test_any_whole_sentence_is_borne_whatever_its_script(text: str) -> None:
    for start, end in sentences(text):
        if any(c.isalnum() for c in text[start:end]):
            assert supported(text[start:end], [post(text)]).supported


@given(st.lists(SENTENCE, min_size=1, max_size=3), st.data())
def test_one_other_digit_is_never_borne(written: list[str], data: st.DataObject) -> None:
    text = " ".join(written)
    digits = [m.start() for m in re.finditer(r"\d", text)]
    assume(digits)
    at = data.draw(st.sampled_from(digits))
    start, end = next(s for s in sentences(text) if s[0] <= at < s[1])
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != text[at]]))
    changed = text[start:at] + other + text[at + 1 : end]
    number = re.search(r"\d[\d,.:]*", changed[max(0, at - start - 5) :])
    assume(number is not None and number[0].strip(".,") not in text)
    # A changed number that the post has elsewhere would be another, true number of it.
    numbers = set(re.findall(r"\d+(?:[.,:]\d+)*", changed)) - set(
        re.findall(r"\d+(?:[.,:]\d+)*", text)
    )
    assume(numbers)
    assert not supported(changed, [post(text)]).supported


@given(st.lists(SENTENCE, min_size=1, max_size=3), st.data())
def test_a_negation_put_in_is_never_borne(written: list[str], data: st.DataObject) -> None:
    text = " ".join(written)
    start, end = data.draw(st.sampled_from(sentences(text)))
    chosen = text[start:end].split(" ")
    assume(len(chosen) > 2)
    word = "안" if any("가" <= c <= "힣" for c in text[start:end]) else "not"
    at = data.draw(st.integers(1, len(chosen) - 1))
    changed = " ".join([*chosen[:at], word, *chosen[at:]])
    assume(negations(changed) > negations(text[start:end]))
    assert not supported(changed, [post(text)]).supported


@given(
    SENTENCE,
    st.sampled_from(
        ["Zebulon", "Quorra", "@nobody_1", "#nothing", "홍길동이", "제주도에서", "92,113"]
    ),
)
def test_a_name_or_number_that_is_not_there_is_never_borne(sentence: str, name: str) -> None:
    body = sentence.rstrip(".")
    verdict = supported(f"{body} {name}.", [post(sentence)])
    assert not verdict.supported
    assert verdict.reason


@given(st.text(max_size=120), st.lists(st.text(max_size=200), max_size=3))
def test_nothing_makes_it_fail(sentence: str, posts: list[str]) -> None:
    verdict = supported(sentence, [post(text) for text in posts])
    assert verdict.reason
    assert verdict.supported <= (verdict.post is not None)


@pytest.mark.parametrize("sentence", ["", " ", "...", "[1]", "!?"])
def test_what_says_nothing_is_not_borne(sentence: str) -> None:
    assert not supported(sentence, [post("Anything at all.")]).supported
