# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501
from __future__ import annotations

import json
from pathlib import Path

import pytest
from answering_community import SAMPLE
from hypothesis import given
from hypothesis import strategies as st

from madang.answer import messages
from madang.answer.route import is_general_knowledge, route, talk_kind


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.open("rb")]


@pytest.mark.parametrize(
    "row", rows(SAMPLE / "first-messages.jsonl"), ids=lambda row: row["message"]
)
def test_first_messages(row: dict[str, str]) -> None:
    message = row["message"]
    found = route(message).route
    # General questions are asked of the posts first.
    if row["route"] == "talk" and found == "posts":
        assert is_general_knowledge(message)
    else:
        assert found == row["route"]


@pytest.mark.parametrize(
    "message",
    [row["question"] for row in rows(SAMPLE / "questions-open.jsonl")]
    + [
        "Who said thanks to the harbour office?",
        "What did Grace write about translation?",
        "안녕 카페는 몇 시에 열어요?",
        "글쓰기 모임은 언제예요?",
        "How many posters did the festival hang?",
    ],
)
def test_questions_for_the_posts(message: str) -> None:
    assert route(message).route == "posts"
    assert not is_general_knowledge(message)


@pytest.mark.parametrize(
    "message",
    [
        "안녕하세요",
        "hello!",
        "번역해줘: hi",
        "write a poem about rain",
        "tell me a joke",
        "3 + 4",
        "ㅋㅋㅋ",
    ],
)
def test_only_posts_are_asked_where_evidence_is_restricted(message: str) -> None:
    assert route(message).route == "talk"
    assert route(message, only_posts=True).route == "posts"


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        ("what's new?", "news"),
        ("동네 소식", "news"),
        ("새로운 소식 있어?", "news"),
        ("what are people saying about the cruise terminal?", "what is said"),
        ("축제 후기 모아줘", "what is said"),
        ("When is the market?", "one thing"),
    ],
)
def test_how_widely_is_asked(message: str, topic: str) -> None:
    assert route(message).topic == topic


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        ("How can I delete my posts?", "deletion"),
        ("내 글 삭제하고 싶어", "deletion"),
        ("opt out", "consent"),
        ("who can see my messages?", "privacy"),
        ("내 질문 누가 저장해?", "privacy"),
        ("are you a robot?", "identity"),
        ("넌 누구야?", "identity"),
        ("what is Madang?", "identity"),
        ("what can I ask?", "abilities"),
        ("뭘 물어볼 수 있어?", "abilities"),
    ],
)
def test_help_topics(message: str, topic: str) -> None:
    found = route(message)
    assert (found.route, found.help_topic) == ("help", topic)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("hello there", "greeting"), ("안녕!", "greeting"), ("thanks a lot", "thanks"), ("고마워", "thanks"),
     ("tell me a joke", "other")],
)  # fmt: skip
def test_kinds_of_talk(message: str, kind: str) -> None:
    assert talk_kind(message) == kind


@given(st.text(max_size=400))
def test_every_message_goes_somewhere(message: str) -> None:
    assert route(message).route in ("posts", "talk", "help")
    assert route(message, only_posts=True).route == "posts"


def test_every_word_of_the_program_is_in_both_languages() -> None:
    tables = [
        messages.ABSTENTION,
        messages.NOTHING_FOUND,
        messages.NO_POSTS,
        messages.EMPTY_QUESTION,
    ]
    tables += [*messages.TALK.values(), *messages.HELP.values()]
    for table in tables:
        assert any("가" <= c <= "힣" for c in table["ko"])
        assert not any("가" <= c <= "힣" for c in table["en"])
