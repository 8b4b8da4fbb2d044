import json
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from gzip import open as gzip_open
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from madang.text import find_terms, fold, joined_terms, query_terms, terms, tokens

POSTS = Path(__file__).parents[2] / ".." / "shared" / "data" / "posts"

# Texts of the kind that break tokenizers: every script, marks, joiners, and what posts hold.
SPELLINGS = """
계엄이라니 3시에 KBS뉴스 ㅋㅋㅋㅋ ㅠㅠ 東京タワー ﾊﾟﾜｰ café CAFÉ ｃａｆｅ\u0301 don't dog's O’Brien
l'école #HurricaneIrma #계엄령_선포 #1 @NWSHouston @alice@mastodon.social https://www.bbc.co.uk/a?b=c
bit.ly/x e.g. U.S. 1,200 12,5 07:30 3.5.1 50% ½ ② 😂😂 👍🏽 🇰🇷 👨\u200d👩\u200d👧 Straße İstanbul
Ёлка й שָׁלוֹם مُحَمَّد สวัสดี हिन्दी \u200b\u200d \u202ertl\u202c \u00ad \ufeff -- ''s #### @@@ 'n'
ﷺ ㈱ ¨ \u1112\u1161\u11ab \u1100 가\u0301 a\u0300\u0301
"""
PIECES = st.sampled_from([*SPELLINGS.split(), "\u3000"])
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=8).map("".join),
    st.lists(PIECES, max_size=8).map(" ".join),
)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("계엄", "계엄이라니 이게 무슨 일"),
        ("run", "I was running late"),
        ("café", "a CAFE by the harbour"),
        ("cafe", "le café, ｃａｆｅ\u0301"),
        ("KBS", "KBS뉴스를 봤다"),
        ("뉴스", "KBS뉴스를 봤다"),
        ("3", "3시에 만나요"),
        ("시에", "3시에 만나요"),
        ("1200", "it cost $1,200."),
        ("1,200", "1200원입니다"),
        ("3.5", "규모 3.5의 지진"),
        ("7:30", "버스는 07:30에 떠난다"),
        ("7:30", "the boat leaves at 7:30."),
        ("#계엄령", "오늘 #계엄령 이야기"),
        ("계엄", "오늘 #계엄령 이야기"),
        ("irma", "stay safe #HurricaneIrma"),
        ("#hurricaneirma", "stay safe #HurricaneIrma"),
        ("houston", "thanks @NWSHouston"),
        ("@nwshouston", "thanks @NWSHouston!"),
        ("@alice", "hi @alice@mastodon.social"),
        ("bbc", "see https://www.bbc.co.uk/news/1"),
        ("bbc.co.uk", "see https://www.BBC.co.uk/news/1"),
        ("example.com", "go to example.com/today"),
        ("😂", "that was 😂😂😂"),
        ("👍", "좋아요 👍🏽"),
        ("🇰🇷", "대한민국 🇰🇷"),
        ("ㅋㅋ", "아니 ㅋㅋㅋㅋㅋㅋㅋ"),
        ("東京", "東京タワーへ"),
        ("dog", "the dog's bowl"),
        ("dog", "the dog’s bowl"),
        ("dont", "I don't know"),
        ("école", "à l’école"),
        ("brien", "Conan O'Brien"),
        ("strasse", "neue Straße 1"),
        ("covid19", "about COVID-19"),
        ("계엄", "계\u200b엄"),
        ("가나", unicodedata.normalize("NFD", "가나다")),
        ("елка", "Ёлка"),
        ("محمد", "مُحَمَّد"),
        ("αθηνα", "Αθήνα"),
    ],
)
def test_is_found_by(query: str, text: str) -> None:
    assert set(terms(query)) <= set(terms(text))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("게엄", "계엄이라니"),
        ("3", "3.5"),
        ("й", "и"),
        ("가", unicodedata.normalize("NFD", "각")),
        ("카", "ㅋㅏ"),
    ],
)
def test_is_not_found_by(query: str, text: str) -> None:
    assert not set(terms(query)) & set(terms(text))


def test_a_tag_and_a_handle_are_more_than_their_words() -> None:
    assert terms("#irma @irma irma") == ["#irma", "irma", "@irma", "irma", "irma"]


def test_one_syllable_is_a_term_and_longer_runs_are_pairs() -> None:
    assert terms("나 우리나라") == ["나", "우리", "리나", "나라"]


def test_places_of_what_was_folded_are_places_in_the_text() -> None:
    text = "계\u200b엄 ｃａｆｅ\u0301 " + unicodedata.normalize("NFD", "각나")
    pieces = {token.term: text[token.start : token.end] for token in tokens(text)}
    assert pieces["계엄"] == "계\u200b엄"
    assert pieces["cafe"] == "ｃａｆｅ\u0301"
    assert unicodedata.normalize("NFC", pieces["각나"]) == "각나"


@given(TEXTS)
@example("a\u0345 \u1e9e ŉ ǰ ﷺ ᾳ")
def test_terms_are_those_of_tokens_and_places_are_in_the_text(text: str) -> None:
    placed = tokens(text)
    assert [token.term for token in placed] == terms(text)
    assert joined_terms(text).split() == terms(text)
    for token in placed:
        assert 0 <= token.start < token.end <= len(text)
        assert token.term
        assert not any(character.isspace() for character in token.term)
    starts = [token.start for token in placed]
    assert starts == sorted(starts)


@given(TEXTS)
def test_normal_forms_have_the_same_terms(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert terms(unicodedata.normalize("NFD", composed)) == terms(composed)


@given(TEXTS, st.sampled_from("\u200b\u00ad\u2066\u202e\ufeff"))
def test_invisible_characters_change_nothing(text: str, invisible: str) -> None:
    assert terms(invisible.join(text)) == terms(text)


@given(TEXTS)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(TEXTS, TEXTS)
def test_chosen_terms_are_found_where_tokens_places_them(text: str, other: str) -> None:
    wanted = set(terms(other)) | set(terms(text)[::2])
    assert find_terms(text, wanted) == [t for t in tokens(text) if t.term in wanted]


@given(TEXTS)
def test_query_terms_are_distinct_terms_in_order(text: str) -> None:
    all_terms = list(dict.fromkeys(terms(text)))
    asked = query_terms(text)
    assert asked == [term for term in all_terms if term in set(asked)] or set(asked) <= set(
        all_terms
    )
    assert len(asked) == len(set(asked))
    assert bool(asked) == bool(all_terms)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the name of the band?", ["name", "band"]),
        ("Who is it?", ["who", "is", "it"]),
        ("배는 언제 떠나나요?", terms("배는 떠나나요")),
        ("누구인가요?", terms("누구인가요")),
        ("축제에 대해 알려줘", terms("축제에")),
    ],
)
def test_questions_lose_the_words_that_only_ask(question: str, expected: list[str]) -> None:
    assert query_terms(question) == expected


def test_threads_share_the_memory_of_words() -> None:
    texts = [f"running wordnumber{n} dogs{n}s Läufer{n}ing 가나{n}" for n in range(3000)]
    alone = [terms(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda n: terms(f"q{n} " + texts[n % 3000]), range(12_000)))
    for n, found in enumerate(together):
        assert found[-len(alone[n % 3000]) :] == alone[n % 3000]


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "가",
        "東",
        "#",
        "@",
        "a-",
        "a.",
        "1.",
        "1,",
        "'a",
        "http://",
        "@a@",
        "\u0301",
        "ㅋ",
        "_a",
        "aB",
    ],
)
def test_hostile_texts_take_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    found = tokens(text)
    assert time.process_time() - started < 4
    assert all(len(token.term) <= 64 for token in found)


def test_terms_and_tokens_agree_on_real_posts() -> None:
    path = POSTS / "en.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with gzip_open(path) as file:
        texts = [json.loads(line)["text"] for line in islice(file, 5000)]
    for text in texts:
        assert [token.term for token in tokens(text)] == terms(text)
