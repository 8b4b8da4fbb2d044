import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.text import detect_language, question_language


@pytest.mark.parametrize(
    ("text", "declared", "expected"),
    [
        ("안녕하세요", None, "ko"),
        ("안녕하세요", "en", "ko"),
        ("ㅋㅋㅋㅋ", None, "ko"),
        ("KBS뉴스 보세요 https://example.com/an/english/path", None, "ko"),
        ("@someone #HurricaneIrma 다들 조심하세요", "en", "ko"),
        ("I love 김치 so much, it is the best of all", None, "en"),
        ("#계엄 hello there my friend, how are you", "ko", "en"),
        ("大韓民國 萬歲 만세", None, "ko"),
        ("東京へ行きました", None, "ja"),
        ("東京へ行きました", "zh", "ja"),
        ("我爱北京天安门", None, "zh"),
        ("我爱北京天安门", "zh-hant_TW", "zh-Hant-TW"),
        ("東京都", "ja", "ja"),
        ("Привет, как дела", None, "ru"),
        ("Привіт, як справи", None, "uk"),
        ("Здраво, како си, љубави", None, "sr"),
        ("Здравей, как си", "bg", "bg"),
        ("مرحبا بكم", None, "ar"),
        ("چطور هستید", None, "fa"),
        ("שלום לכולם", "iw", "he"),
        ("สวัสดีครับ", None, "th"),
        ("Καλημέρα", None, "el"),
        ("नमस्ते दोस्तों", None, "hi"),
        ("नमस्कार मित्रांनो", "mr", "mr"),
        ("selamat pagi", "in", "id"),
        ("the storm is here", None, "en"),
        ("Buenos días a todos los que están en la casa", None, "es"),
        ("je ne sais pas ce que tu veux dire avec ça", None, "fr"),
        ("ich weiß nicht, was das ist", None, "de"),
        ("ik weet niet wat dit is", None, "nl"),
        ("eu não sei o que você quer", None, "pt"),
        ("non so che cosa vuoi da questo", None, "it"),
        ("lol", None, "und"),
        ("Seoul Busan Daegu", None, "und"),
        ("annyeong chingudeul", "ko", "ko"),
        ("hello", "en_us", "en-US"),
        ("Seoul", "not a tag!", "und"),
        ("", None, "und"),
        ("👍👍", "qme", "und"),
        ("👍👍", "en", "en"),
        ("https://example.com", "zxx", "und"),
        ("#계엄", "qht", "ko"),
    ],
)
def test_language(text: str, declared: str | None, expected: str) -> None:
    assert detect_language(text, declared) == expected


@given(st.text(), st.none() | st.text(max_size=12) | st.sampled_from(["ko", "en", "und", "pt-br"]))
def test_the_answer_is_always_a_tag(text: str, declared: str | None) -> None:
    assert re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", detect_language(text, declared))


@given(st.text(alphabet="가나다라마바사 !?.0123", min_size=1))
def test_hangul_is_never_declared_away(text: str) -> None:
    if re.search("[가-힣]", text):
        assert detect_language(text, "en") == "ko"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("배는 언제 떠나?", "ko"), ("When does the 배 leave?", "ko"), ("When?", "en"), ("123", "en")],
)
def test_language_of_an_answer(text: str, expected: str) -> None:
    assert question_language(text) == expected
