# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501
from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from answering_community import Community, Parrot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.answer import (
    Answer,
    Answerer,
    CommunityPosts,
    ExtractReady,
    Finished,
    Request,
    SentenceChecked,
    SourcesFound,
    Turn,
    messages,
)
from madang.posts import Post

START = datetime(2026, 8, 1, tzinfo=UTC)
STAGES = {"search", "extract", "draft", "check", "total"}


def post(name: str, text: str, day: int = 0, **fields: object) -> Post:
    return Post(
        f"t:{name}", "t", text, created_at=START + timedelta(days=day), **{"author": name, **fields}
    )  # type: ignore[arg-type]


FERRY = post(
    "ferry", "The last boat back from Dalseom leaves at 18:30. Bicycles are 1,000 won extra."
)
배 = post(
    "배", "달섬에서 돌아오는 막배는 오후 6시 30분에 떠납니다. 자전거는 1,000원을 더 받습니다."
)


def honest(answer: Answer, posts: CommunityPosts) -> None:
    """Check what holds for every answer."""
    evidence = {one.id: one for one in answer.evidence}
    assert set(answer.took_ms) == STAGES
    assert answer.sentences
    for sentence in answer.sentences:
        assert sentence.text.strip()
        assert (sentence.kind == "own") == (not sentence.citations)
        for citation in sentence.citations:
            cited = evidence[citation.post]
            assert cited.text[citation.start : citation.end] == citation.quote
            if sentence.kind == "quoted":
                assert sentence.text == citation.quote
    if answer.abstained:
        assert all(sentence.kind == "own" for sentence in answer.sentences)
    if answer.route != "posts":
        assert answer.evidence == ()


@pytest.mark.parametrize(
    ("question", "post_id", "holds"),
    [
        ("When does the last boat from Dalseom leave?", "t:ferry", "18:30"),
        ("달섬에서 돌아오는 막배 몇 시야?", "t:배", "6시 30분"),
    ],
)
def test_an_answer_is_quoted_word_for_word(
    community: Community, question: str, post_id: str, holds: str
) -> None:
    community.write(FERRY, 배)
    answer = community.answerer().answer(Request(question))
    honest(answer, community.posts)
    assert not answer.abstained
    assert answer.sentences[0].kind == "quoted"
    assert answer.sentences[0].citations[0].post == post_id
    assert holds in answer.text
    assert answer.as_of == START


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What is the wifi password of the library?", messages.ABSTENTION["en"]),
        ("도서관 와이파이 비밀번호가 뭐야?", messages.ABSTENTION["ko"]),
    ],
)
def test_what_the_posts_do_not_say_is_declined_with_the_nearest_posts(
    community: Community, question: str, words: str
) -> None:
    community.write(
        FERRY,
        배,
        post("lib", "The library is open until 18:00."),
        post("도", "도서관은 월요일에 쉽니다.", 3),
    )
    answer = community.answerer().answer(Request(question))
    honest(answer, community.posts)
    assert answer.abstained
    assert answer.text == words
    assert 1 <= len(answer.evidence) <= 3
    assert answer.as_of == max(one.created_at for one in answer.evidence if one.created_at)


def test_without_any_post_it_says_so(community: Community) -> None:
    answerer = community.answerer()
    for question, words in (
        ("When is the market?", messages.NOTHING_FOUND["en"]),
        ("장터 언제야?", messages.NOTHING_FOUND["ko"]),
        ("what's new?", messages.NO_POSTS["en"]),
        ("요즘 무슨 얘기 해?", messages.NO_POSTS["ko"]),
    ):
        answer = answerer.answer(Request(question))
        assert (answer.text, answer.abstained, answer.as_of) == (words, True, None)


@pytest.mark.parametrize("question", ["", "  ", "\n"])
def test_an_empty_question_gets_a_hint(community: Community, question: str) -> None:
    assert community.answerer().answer(Request(question)).text == messages.EMPTY_QUESTION["en"]


def test_news_are_the_newest_posts(community: Community) -> None:
    community.write(*(post(f"n{n}", f"Notice number {n} of the day.", n) for n in range(8)))
    answer = community.answerer().answer(Request("what's going on today?"))
    honest(answer, community.posts)
    assert [s.citations[0].post for s in answer.sentences] == ["t:n7", "t:n6", "t:n5", "t:n4"]
    assert answer.as_of == START + timedelta(days=7)


def test_what_people_say_is_quoted_from_several_posts(community: Community) -> None:
    community.write(
        post("a", "I am against the cruise terminal, the harbour is too small.", 1),
        post("b", "I support the cruise terminal, we need jobs.", 2),
        post("c", "Soup today."),
    )
    answer = community.answerer().answer(
        Request("what are people saying about the cruise terminal?")
    )
    honest(answer, community.posts)
    assert {s.citations[0].post for s in answer.sentences} == {"t:a", "t:b"}


def test_only_restricts_the_evidence(community: Community) -> None:
    community.write(FERRY, post("other", "The last boat from Dalseom leaves at 21:00.", 5))
    answerer = community.answerer()
    question = "When does the last boat from Dalseom leave?"
    answer = answerer.answer(Request(question, only=("t:ferry",)))
    assert [one.id for one in answer.evidence] == ["t:ferry"]
    assert "18:30" in answer.text
    assert answerer.answer(Request(question, only=())).abstained
    assert answerer.answer(Request("hello", only=("t:ferry",))).route == "posts"


def test_a_follow_up_question_is_read_with_the_one_before(community: Community) -> None:
    community.write(
        post("sat", "The bakery opens on Saturday at 7:30."),
        post("sun", "The bakery opens on Sunday at 9:15."),
    )
    history = (
        Turn("user", "When does the bakery open on Saturday?"),
        Turn("assistant", "The bakery opens on Saturday at 7:30."),
    )
    answer = community.answerer().answer(Request("and on Sunday?", history=history))
    assert answer.sentences[0].citations[0].post == "t:sun"


# -- prose ----------------------------------------------------------------------------------


def test_prose_leaves_when_the_posts_bear_it(community: Community) -> None:
    community.write(FERRY)
    engine = Parrot("The last boat from Dalseom leaves at 18:30. [1]", features=("grammar",))
    question = Request("When does the last boat from Dalseom leave?", max_tokens=64, seed=3)
    steps = list(community.answerer(engine).steps(question))
    assert [type(step) for step in steps] == [SourcesFound, ExtractReady, SentenceChecked, Finished]
    answer = steps[-1].answer  # type: ignore[union-attr]
    honest(answer, community.posts)
    assert [s.kind for s in answer.sentences] == ["generated"]
    assert answer.text == "The last boat from Dalseom leaves at 18:30."
    assert answer.engine == "parrot"
    (sampling,) = engine.samplings
    assert (sampling.max_tokens, sampling.seed) == (64, 3)
    assert sampling.grammar is not None
    assert '"1"' in sampling.grammar
    assert '"2"' not in sampling.grammar


@pytest.mark.parametrize(
    "lie",
    [
        "The last boat from Dalseom leaves at 19:30. [1]",
        "The last boat from Dalseom does not leave at 18:30. [1]",
        "The last boat from Gaonpo leaves at 18:30. [1]",
        "The last boat from Dalseom leaves at 18:30.",
        "The last boat from Dalseom leaves at 18:30. [7]",
        "Does the last boat leave at 18:30? [1]",
        "Bicycles are 1,000 won extra. [1]",
        "[1]",
        "",
        "] [ [] [1 1] [[1]]",
        "18:30 " * 50,
    ],
)
def test_whatever_the_model_says_the_answer_is_never_worse_than_the_quote(
    community: Community, lie: str
) -> None:
    community.write(FERRY)
    answer = community.answerer(Parrot(lie)).answer(
        Request("When does the last boat from Dalseom leave?")
    )
    honest(answer, community.posts)
    assert [s.kind for s in answer.sentences] == ["quoted"]
    assert "18:30" in answer.text


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(alphabet=st.sampled_from(" []1234567890.:abcdlnostw가나다\n<>|"), max_size=120))
def test_no_reply_breaks_the_promise(community: Community, reply: str) -> None:
    community.write(FERRY)
    answer = community.answerer(Parrot(reply)).answer(
        Request("When does the last boat from Dalseom leave?")
    )
    honest(answer, community.posts)
    assert not answer.abstained


def test_unsupported_sentences_are_dropped_and_the_others_stay(community: Community) -> None:
    community.write(FERRY)
    engine = Parrot(
        "The last boat from Dalseom leaves at 18:30. [1] Cats travel free. [1] Bicycles are 1,000 won extra. [1]"
    )
    answer = community.answerer(engine).answer(
        Request("When does the last boat from Dalseom leave?")
    )
    assert [s.text for s in answer.sentences] == [
        "The last boat from Dalseom leaves at 18:30.",
        "Bicycles are 1,000 won extra.",
    ]


def test_an_engine_that_fails_leaves_the_quote(community: Community) -> None:
    community.write(FERRY)
    answer = community.answerer(Parrot("", fails=True)).answer(
        Request("When does the last boat from Dalseom leave?")
    )
    honest(answer, community.posts)
    assert "18:30" in answer.text


def test_a_slow_engine_is_given_up_at_the_deadline(community: Community) -> None:
    community.write(FERRY)
    engine = Parrot(" ".join(["word"] * 400), wait=lambda _: time.sleep(0.02))
    started = time.monotonic()
    answer = community.answerer(engine, deadline_s=0.3).answer(
        Request("When does the last boat from Dalseom leave?")
    )
    assert engine.samplings[0].deadline_s <= 0.3
    assert engine.ended.is_set()
    assert time.monotonic() - started < 3
    assert "18:30" in answer.text


def test_closing_the_steps_ends_the_generation(community: Community) -> None:
    community.write(FERRY)
    engine = Parrot(
        "The last boat from Dalseom leaves at 18:30. [1] " + "Bicycles are extra. [1] " * 200
    )
    steps = community.answerer(engine).steps(Request("When does the last boat from Dalseom leave?"))
    for step in steps:
        if isinstance(step, SentenceChecked):
            break
    assert not engine.ended.is_set()
    steps.close()  # type: ignore[attr-defined]
    assert engine.ended.is_set()


def test_quotes_are_ready_before_the_engine_is_asked(community: Community) -> None:
    community.write(FERRY)
    engine = Parrot("x [1]")
    steps = community.answerer(engine).steps(Request("When does the last boat from Dalseom leave?"))
    assert isinstance(next(steps), SourcesFound)
    extract = next(steps)
    assert isinstance(extract, ExtractReady)
    assert extract.sentences[0].kind == "quoted"
    assert engine.asked == []


def test_a_model_that_writes_no_korean_is_not_asked_to(community: Community) -> None:
    community.write(배)
    engine = Parrot("The boat leaves. The boat leaves. The boat leaves.", name="an English model")
    answer = community.answerer(engine).answer(Request("달섬에서 돌아오는 막배 몇 시야?"))
    honest(answer, community.posts)
    assert [s.kind for s in answer.sentences] == ["quoted"]
    # It was tried out once, and never with the posts.
    assert all("달섬" not in message.content for asked in engine.asked for message in asked)


def test_a_model_that_writes_korean_answers_in_korean(community: Community) -> None:
    community.write(배)
    engine = Parrot(
        "바다는 넓고 푸르며 파도가 아름답습니다.",
        "달섬에서 돌아오는 막배는 오후 6시 30분에 떠납니다. [1]",
        name="a Korean model",
    )
    answer = community.answerer(engine).answer(Request("달섬에서 돌아오는 막배 몇 시야?"))
    honest(answer, community.posts)
    assert [s.kind for s in answer.sentences] == ["generated"]


# -- own words ------------------------------------------------------------------------------


def test_talk_is_in_the_models_own_words_and_marked_so(community: Community) -> None:
    community.write(FERRY)
    reply = "Why did the wave blush? It saw the harbour bottom."
    answer = community.answerer(Parrot(reply)).answer(Request("tell me a joke"))
    honest(answer, community.posts)
    assert (answer.route, answer.text) == ("talk", reply)
    assert answer.sentences[0].kind == "own"
    assert answer.as_of is None


@pytest.mark.parametrize(
    "claim",
    [
        "Hello! The posts say that the ferry sank.",
        "Good morning! People here love soup.",
        "Hi! Today Tomek won the lottery.",
        "Hello! I asked @tomek about it.",
    ],
)
def test_a_claim_about_the_community_never_leaves_as_talk(community: Community, claim: str) -> None:
    community.write(FERRY, post("tomek", "Soup.", author_name="Tomek Kowalski"))
    answer = community.answerer(Parrot(claim)).answer(Request("tell me a joke"))
    honest(answer, community.posts)
    assert claim not in answer.text
    assert answer.text == messages.TALK["other"]["en"]


def test_what_the_person_wrote_may_be_repeated(community: Community) -> None:
    community.write(FERRY, post("grace", "Hi"))
    engine = Parrot("Dear Grace, the posts by the gate look lovely.")
    message = "make this sound friendlier: Grace, the posts by the gate look fine"
    assert "Grace" in community.answerer(engine).answer(Request(message)).text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("안녕하세요", messages.TALK["greeting"]["ko"]),
        ("hello", messages.TALK["greeting"]["en"]),
        ("고마워요", messages.TALK["thanks"]["ko"]),
        ("농담 하나 해줘", messages.TALK["other"]["ko"]),
        ("뭐 할 수 있어?", messages.HELP["abilities"]["ko"]),
        ("how do I delete my post?", messages.HELP["deletion"]["en"]),
    ],
)
def test_without_a_model_the_program_speaks_for_itself(
    community: Community, message: str, words: str
) -> None:
    answer = community.answerer().answer(Request(message))
    honest(answer, community.posts)
    assert answer.text == words


@pytest.mark.parametrize("babble", ["", "!!!", "the the " * 40, "안녕 하세요 반갑 습니다"])
def test_babble_does_not_leave(community: Community, babble: str) -> None:
    answer = community.answerer(Parrot(babble)).answer(Request("tell me a joke"))
    assert answer.text == messages.TALK["other"]["en"]


def test_a_bare_greeting_needs_no_model(community: Community) -> None:
    engine = Parrot("I like what I am saying.")
    assert (
        community.answerer(engine).answer(Request("hi there")).text
        == (messages.TALK["greeting"]["en"])
    )
    asked = Request("hi, please draft a post about the weather for me")
    assert community.answerer(engine).answer(asked).text == "I like what I am saying."


def test_a_question_about_the_world_is_talk_where_the_posts_do_not_say(
    community: Community,
) -> None:
    community.write(FERRY)
    engine = Parrot("The moon pulls the water on two sides.")
    answer = community.answerer(engine).answer(Request("why do tides happen twice a day?"))
    assert (answer.route, answer.sentences[0].kind) == ("talk", "own")


# -- every answer ---------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    question=st.one_of(
        st.text(max_size=200), st.text(alphabet="가나다라마바사 몇시언제?123", max_size=60)
    )
)
def test_any_question_gets_an_honest_answer(town: CommunityPosts, question: str) -> None:
    honest(Answerer(town).answer(Request(question)), town)


def test_steps_come_in_order(town: CommunityPosts) -> None:
    order = [SourcesFound, ExtractReady, SentenceChecked, Finished]
    for question in ("몇 시에 열어요?", "When is the market?", "hello", "help", "what's new?"):
        steps = list(Answerer(town).steps(Request(question)))
        places = [order.index(type(step)) for step in steps]
        assert all(a <= b for a, b in pairwise(places))
        assert isinstance(steps[0], SourcesFound)
        assert [type(step) for step in steps].count(Finished) == 1


def test_the_json_has_exactly_its_fields(community: Community) -> None:
    community.write(FERRY)
    found = community.answerer().answer(Request("When does the last boat leave Dalseom?")).to_dict()
    assert list(found) == [
        "answer", "route", "abstained", "sentences", "evidence", "as_of", "engine", "took_ms",
    ]  # fmt: skip
    assert set(found["sentences"][0]) == {"text", "kind", "citations"}
    assert set(found["sentences"][0]["citations"][0]) == {"post", "quote", "start", "end"}
    assert set(found["took_ms"]) == STAGES
    assert found["as_of"] == "2026-08-01T00:00:00Z"
