"""The sample's open questions, and the model that comes with the program."""

from __future__ import annotations

import json

import pytest
from answering_community import SAMPLE

from madang.answer import Answer, Answerer, CommunityPosts, Request
from madang.engines import EngineError, open_engine

QUESTIONS = [json.loads(line) for line in (SAMPLE / "questions-open.jsonl").open("rb")]


@pytest.fixture(scope="module")
def answers(town: CommunityPosts) -> dict[str, Answer]:
    answerer = Answerer(town)
    return {one["id"]: answerer.answer(Request(one["question"])) for one in QUESTIONS}


def cited(answer: Answer) -> list[str]:
    return [c.post for sentence in answer.sentences for c in sentence.citations]


def test_most_answerable_questions_cite_a_right_post(answers: dict[str, Answer]) -> None:
    asked = [one for one in QUESTIONS if one["answers"]]
    right = sum(bool(set(cited(answers[one["id"]])) & set(one["posts"])) for one in asked)
    assert right >= 0.8 * len(asked)


def test_most_unanswerable_questions_are_declined(answers: dict[str, Answer]) -> None:
    asked = [one for one in QUESTIONS if not one["answers"]]
    assert sum(answers[one["id"]].abstained for one in asked) >= 0.85 * len(asked)


def test_the_newer_post_wins(answers: dict[str, Answer]) -> None:
    asked = [one for one in QUESTIONS if one["overtaken"]]
    newer = [
        bool(set(cited(answers[one["id"]])) & set(one["posts"]))
        and cited(answers[one["id"]])[0] not in one["overtaken"]
        for one in asked
    ]
    assert sum(newer) >= 0.9 * len(asked)


def test_no_citation_is_invented(answers: dict[str, Answer]) -> None:
    for answer in answers.values():
        texts = {post.id: post.text for post in answer.evidence}
        for sentence in answer.sentences:
            for citation in sentence.citations:
                assert texts[citation.post][citation.start : citation.end] == citation.quote


def test_members_who_refused_are_never_cited(answers: dict[str, Answer]) -> None:
    refused = {"kang_taesu"}
    assert not {post.author for a in answers.values() for post in a.evidence} & refused


def test_the_default_model_answers_honestly(town: CommunityPosts) -> None:
    try:
        engine = open_engine()
    except EngineError as error:
        pytest.skip(f"the default model is not there: {error}")
    try:
        answerer = Answerer(town, engine)
        answer = answerer.answer(Request("When does the Grey Gull go back in the water?"))
        assert "town:0381" in cited(answer)
        assert "12 December" in answer.text
        hello = answerer.answer(Request("hello"))
        assert (hello.route, hello.sentences[0].kind) == ("talk", "own")
        assert answerer.answer(Request("안녕하세요")).lang == "ko"
    finally:
        engine.close()
