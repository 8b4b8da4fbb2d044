# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.answer.matching import strength
from madang.answer.question import analyse
from madang.answer.transliteration import romanize, skeleton, sounds_alike
from madang.answer.words import korean_stem, profile, words


@pytest.mark.parametrize(
    ("hangul", "latin"),
    [("아키라네", "Akira"), ("마리벨호가", "Maribel"), ("유수프씨", "Yusuf"), ("그레이스", "Grace"),
     ("토메크", "Tomek"), ("다니엘", "Daniel"), ("새벽호", "Saebyeok"), ("가온포", "Gaonpo"), ("한천역", "Hancheon")],
)  # fmt: skip
def test_names_sound_alike(hangul: str, latin: str) -> None:
    assert sounds_alike(hangul, latin)


@pytest.mark.parametrize(
    ("hangul", "latin"),
    [("축제", "Grace"), ("망고", "Akira"), ("여객선", "Daniel"), ("엘리", "Ben")],
)
def test_other_names_do_not(hangul: str, latin: str) -> None:
    assert not sounds_alike(hangul, latin)


@given(st.text(max_size=30))
def test_any_name_can_be_sounded_out(name: str) -> None:
    assert isinstance(romanize(name), str)
    assert skeleton(name) == skeleton(name)


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("도서관에서", "도서관"),
        ("배는", "배"),
        ("축제가", "축제"),
        ("강태수", "강태수"),
        ("돈은", "돈"),
        ("가을", "가을"),
    ],
)
def test_korean_stems(word: str, stem: str) -> None:
    assert korean_stem(word) == stem


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("낚시 대회", "제3회 낚시대회 결과"),
        ("등불축제", "The Lantern Festival is over"),
        ("바뀌나요", "시간이 바뀝니다"),
        ("Maribel", "마리벨호가 들어옵니다"),
        ("price", "요금 안내"),
        ("여객선", "the ferry is late"),
        ("adress", "our new address"),
        ("interpreters", "interpreting in Arabic"),
    ],
)
def test_words_are_found_in_other_shapes(question: str, text: str) -> None:
    assert max(strength(word, profile(text)) for word in words(question)) >= 0.6


@pytest.mark.parametrize(
    ("question", "text"), [("와이파이", "카페가 열립니다"), ("membership", "Winter swim club")]
)
def test_words_that_are_not_there_are_not_found(question: str, text: str) -> None:
    assert max(strength(word, profile(text)) for word in words(question)) < 0.4


@given(st.text(max_size=200))
def test_words_stand_where_they_say(text: str) -> None:
    for word in words(text):
        assert text[word.start : word.end] == word.surface


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("What time does it start?", ("time",)),
        ("몇 시에 시작해?", ("time",)),
        ("How much is the ticket?", ("money",)),
        ("표 얼마야?", ("money",)),
        ("How many people came?", ("count",)),
        ("몇 명 왔어?", ("count",)),
        ("Phone number of the café?", ("phone",)),
        ("카페 전화번호 알려줘", ("phone",)),
        ("Why is it closed?", ("why",)),
        ("왜 닫았어?", ("why",)),
        ("Who won?", ("who",)),
        ("누가 이겼어?", ("who",)),
        ("How old is the cat?", ("measure",)),
        ("무슨 색이야?", ("colour",)),
    ],
)
def test_kinds_of_answers(text: str, kinds: tuple[str, ...]) -> None:
    assert analyse(text).kinds == kinds


@pytest.mark.parametrize("text", ["what is the ferry time now?", "지금 배 몇 시야?"])
def test_a_question_may_mean_now(text: str) -> None:
    assert analyse(text).newest


@given(st.text(max_size=300))
def test_any_question_can_be_taken_apart(text: str) -> None:
    question = analyse(text)
    assert question.lang in ("ko", "en")
    assert all(text[need.start : need.end] == need.surface for need in question.needs)
