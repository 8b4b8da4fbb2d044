from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from answering_community import Community
from hypothesis import given
from hypothesis import strategies as st

from madang.answer import CommunityPosts, Request
from madang.answer.duplicates import says_the_same
from madang.answer.evidence import gather, plain_query, translate
from madang.answer.question import analyse
from madang.answer.recency import denies, tells_a_change
from madang.posts import Consent, Delete, Post

START = datetime(2026, 8, 1, tzinfo=UTC)


def post(name: str, text: str, day: int = 0, **fields: object) -> Post:
    return Post(
        f"t:{name}", "t", text, created_at=START + timedelta(days=day), **{"author": name, **fields}
    )  # type: ignore[arg-type]


def first(community: Community, question: str) -> str:
    return gather(community.posts, analyse(question)).candidates[0].post.id


@pytest.mark.parametrize(
    ("old", "new", "question"),
    [
        (
            "Choir practice is on Mondays at 19:00 in the church hall.",
            "Choir practice is moving: from now on Tuesdays at 19:30 in the church hall.",
            "When is choir practice?",
        ),
        (
            "합창 연습은 매주 월요일 7시 교회에서 합니다.",
            "[변경] 합창 연습을 화요일 7시 30분으로 옮깁니다. 장소는 교회 그대로입니다.",
            "합창 연습 언제야?",
        ),
        (
            "Entry to the fishing contest is 20,000 won.",
            "The fishing contest gets cheaper: entry is now 15,000 won.",
            "How much is entry to the fishing contest?",
        ),
        (
            "낚시대회 참가비는 2만원입니다.",
            "낚시대회 참가비를 1만5천원으로 내립니다.",
            "낚시대회 참가비 얼마예요?",
        ),
        (
            "The market is held in front of the fish hall.",
            "The market has moved to the school yard because of works in front of the fish hall.",
            "Where is the market held now?",
        ),
    ],
)
def test_the_newer_of_contradicting_posts_wins(
    community: Community, old: str, new: str, question: str
) -> None:
    community.write(post("old", old), post("new", new, 10), post("else", "Soup at noon.", 20))
    assert first(community, question) == "t:new"


def test_the_older_one_where_the_first_state_is_asked(community: Community) -> None:
    community.write(
        post("old", "Choir practice is on Mondays at 19:00."),
        post("new", "Choir practice is moving to Tuesdays at 19:30.", 10),
    )
    assert first(community, "When was choir practice originally?") == "t:old"


@pytest.mark.parametrize(
    ("rumour", "denial", "question"),
    [
        (
            "They say the clinic closes for good in October!",
            "Not true: the clinic is not closing in October. It is shut for two days.",
            "Is the clinic closing for good in October?",
        ),
        (
            "만복호가 침몰했다는데 진짜예요?",
            "만복호 침몰은 사실이 아닙니다. 엔진이 멈춰 예인 중입니다.",
            "만복호 침몰했어?",
        ),
    ],
)
def test_a_denial_goes_before_the_rumour(
    community: Community, rumour: str, denial: str, question: str
) -> None:
    community.write(post("rumour", rumour), post("denial", denial, 1, reply_to="t:rumour"))
    assert first(community, question) == "t:denial"


def test_a_reply_answers_the_question_above_it(community: Community) -> None:
    community.write(
        post("asks", "How many tetrapods are coming for the breakwater?"),
        post("says", "148, twenty tonnes each.", 0, reply_to="t:asks"),
        post("other", "Breakwater walk on Sunday.", 1),
    )
    found = gather(community.posts, analyse("How many tetrapods are coming for the breakwater?"))
    assert "t:says" in [one.post.id for one in found.candidates[:2]]
    says = next(one for one in found.candidates if one.post.id == "t:says")
    assert says.in_context > says.covered


def test_near_duplicates_fold_into_the_newest(community: Community) -> None:
    text = "Volunteers wanted for the Lantern Festival: 30 people for setting up, 12 interpreters."
    community.write(post("a", text), post("b", f"Still open! {text}", 9))
    found = gather(
        community.posts, analyse("How many interpreters does the Lantern Festival want?")
    )
    assert [one.post.id for one in found.candidates] == ["t:b"]
    assert [folded.id for folded in found.candidates[0].folded] == ["t:a"]


def test_another_value_is_no_duplicate() -> None:
    text = (
        "Water will be off in Market Lane on {} September from 10:00 to 15:00, please store some."
    )
    assert says_the_same(text.format(3), f"Reminder: {text.format(3)}")
    assert not says_the_same(text.format(3), text.format(4))


def test_korean_questions_find_english_posts_and_the_other_way(community: Community) -> None:
    community.write(
        post("en", "Akira's sashimi bar looks for a part-time helper, 12,500 won per hour."),
        post("ko", "방파제 공사 완료일을 태풍 때문에 11월 28일로 늦춥니다."),
        *(post(f"x{n}", f"아무 얘기 {n}번째 날씨가 맑아요") for n in range(5)),
    )
    assert first(community, "아키라네 횟집 알바 시급 얼마야?") == "t:en"
    assert first(community, "Why is the breakwater construction delayed?") == "t:ko"


def test_translations_hold_words_of_the_other_language() -> None:
    assert "ferry" in translate(analyse("여객선 요금 얼마야?"))
    assert "여객선" in translate(analyse("How much is the ferry?"))
    assert "maribel" in translate(analyse("마리벨 언제 와?"))


def test_a_refusal_keeps_a_post_out_of_every_answer(community: Community) -> None:
    community.write(
        post("no", "The best octopus spot is east of Nose Rock, 18 metres deep."),
        signals={"ground": False},
    )
    community.write(post("yes", "I like octopus."))
    answer = community.answerer().answer(Request("Where is the best octopus spot at Nose Rock?"))
    assert "t:no" not in [one.id for one in answer.evidence]
    assert "Nose Rock" not in answer.text
    assert community.posts.thread(post("no", "")) == []


def test_a_refusal_holds_from_the_moment_it_is_made(community: Community) -> None:
    community.write(post("kang", "The engine cost 9,000,000 won."))
    question = Request("How much did the engine cost?")
    assert not community.answerer().answer(question).abstained
    community.log.append([Consent("t", "kang", {"ground": False})])
    answer = community.answerer().answer(question)
    assert answer.abstained
    assert answer.evidence == ()


def test_an_erased_post_is_no_evidence_even_before_the_index_follows(community: Community) -> None:
    community.write(post("a", "The gate code of the pier is 4711."))
    community.log.append([Delete("t:a")])
    answer = community.answerer().answer(Request("What is the gate code of the pier?"))
    assert answer.abstained
    assert answer.evidence == ()


@pytest.mark.parametrize(
    "text", ["일정 변경 안내", "It is no longer Monday", "Correction: 15 won", "사실이 아닙니다"]
)
def test_words_of_change(text: str) -> None:
    assert tells_a_change(text)


def test_words_of_denial() -> None:
    assert denies("That isn't right.")
    assert denies("헛소문입니다")
    assert not denies("Tickets are 8,000 won.")


@given(st.text(max_size=120))
def test_a_question_is_never_read_as_a_query(text: str) -> None:
    plain = plain_query(f"from:ben since:never {text}")
    assert "from:" not in plain
    assert "since:" not in plain
    assert '"' not in plain


@pytest.mark.parametrize(
    "question", ["since:never what is on?", 'lang:"x" "unbalanced', "thread: until:yesterday 언제?"]
)
def test_filters_in_a_question_do_no_harm(town: CommunityPosts, question: str) -> None:
    gather(town, analyse(question))
