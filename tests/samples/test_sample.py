"""The sample community keeps the promises that other tests and the demo rely on."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, date, datetime
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]

TOWN = Path(__file__).parents[2] / "samples" / "town"
PURPOSES = {"search", "ground", "embed", "train", "ads", "export"}
FIELDS = [
    "id",
    "source",
    "author",
    "author_name",
    "created_at",
    "text",
    "lang",
    "reply_to",
    "tags",
    "url",
    "consent",
    "deleted",
    "edited_at",
]
NO_TRAINING = "ellie_p"
NO_QUOTING = "kang_taesu"
UNSEARCHABLE = {"town:0114", "town:0246"}
ORDERS = "town:0289"
MARKUP = "town:0287"

# Announcement, change, sometimes a second change.
CHAINS_KO = [
    (1, 142, 260),
    (96, 155, 252),
    (166, 273),
    (232, 257),
    (67, 112, 341),
    (76, 202, 284),
    (185, 254, 255),
    (46, 249),
    (194, 195),
    (88, 90),
    (345, 347),
    (349, 350),
]
CHAINS_EN = [
    (2, 143, 340),
    (71, 164, 283),
    (167, 277),
    (102, 233),
    (92, 93),
    (77, 205),
    (49, 52),
    (23, 151),
    (65, 161),
    (312, 313),
    (115, 314),
    (352, 353),
    (29, 34),
]
# Rumour, correction.
RUMOURS = [
    (13, 16),
    (42, 43),
    (118, 122),
    (120, 121),
    (147, 149),
    (157, 159),
    (178, 180),
    (186, 188),
    (226, 227),
    (275, 276),
    (309, 310),
]


def read(name: str) -> list[Row]:
    """Read a JSON-lines file of the sample."""
    lines = (TOWN / name).read_text("utf-8").split("\n")
    assert lines[-1] == "", f"{name} ends without a newline"
    return [json.loads(line) for line in lines[:-1]]


def town(number: int) -> str:
    return f"town:{number:04d}"


ROWS = read("posts.jsonl")
DELETED = {row["id"] for row in ROWS if row.get("deleted")}
FIRST: dict[str, Row] = {}
CURRENT: dict[str, Row] = {}
for _row in ROWS:
    if not _row.get("deleted"):
        FIRST.setdefault(_row["id"], _row)
        CURRENT[_row["id"]] = _row
for _id in DELETED:
    CURRENT.pop(_id, None)
OPEN = read("questions-open.jsonl")
HELD = read("questions-held.jsonl")
QUESTIONS = OPEN + HELD
MESSAGES = read("first-messages.jsonl")


def moment(stamp: str) -> datetime:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp), stamp
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def refused(row: Row, purpose: str) -> bool:
    return row.get("consent", {}).get(purpose) is False


def depth(row: Row) -> int:
    return 1 + depth(FIRST[row["reply_to"]]) if "reply_to" in row else 0


def looks_korean(text: str) -> bool:
    """Whether Hangul outweighs Latin letters once markup and addresses are set aside."""
    bare = re.sub(r"<[^>]*>|https?://\S+|@\w+", " ", text)
    hangul = len(re.findall(r"[가-힣ㄱ-ㅣ]", bare))
    return hangul > len(re.findall(r"[A-Za-z]", bare))


def test_there_are_about_four_hundred_posts_half_of_them_korean() -> None:
    langs = Counter(row["lang"] for row in FIRST.values())
    assert 400 <= len(FIRST) <= 450
    assert set(langs) == {"ko", "en"}
    assert min(langs.values()) / len(FIRST) > 0.45
    assert 33 <= len({row["author"] for row in FIRST.values()}) <= 38


def test_every_row_has_the_fields_in_order() -> None:
    for row in ROWS:
        assert list(row) == [field for field in FIELDS if field in row], row["id"]
        assert re.fullmatch(r"town:\d{4}", row["id"])
        assert row["source"] == "town"
        if row.get("deleted"):
            assert row == {"id": row["id"], "source": "town", "deleted": True}
        else:
            assert set(FIELDS[:7]) <= set(row)
            assert row["text"].strip() == row["text"] != ""


def test_an_author_has_one_name_and_some_write_in_both_languages() -> None:
    names: dict[str, set[str]] = {}
    langs: dict[str, set[str]] = {}
    for row in FIRST.values():
        assert re.fullmatch(r"[a-z0-9_]+", row["author"])
        names.setdefault(row["author"], set()).add(row["author_name"])
        langs.setdefault(row["author"], set()).add(row["lang"])
    assert all(len(shown) == 1 for shown in names.values())
    assert sum(len(used) == 2 for used in langs.values()) >= 8


def test_times_lie_in_the_season() -> None:
    for row in FIRST.values():
        day = moment(row["created_at"]).date()
        assert date(2026, 8, 1) <= day <= date(2026, 11, 20), row["id"]


def test_language_matches_the_script() -> None:
    for row in CURRENT.values():
        assert looks_korean(row["text"]) == (row["lang"] == "ko"), row["id"]


def test_the_town_is_named_in_both_scripts() -> None:
    both = [r for r in CURRENT.values() if "가온포" in r["text"] and "Gaonpo" in r["text"]]
    assert len(both) >= 2


def test_no_text_is_written_twice_word_for_word() -> None:
    texts = Counter(row["text"] for row in FIRST.values())
    assert [text for text, count in texts.items() if count > 1] == []


def test_replies_resolve_and_come_after_their_post() -> None:
    for row in FIRST.values():
        if "reply_to" in row:
            parent = FIRST[row["reply_to"]]
            assert moment(parent["created_at"]) < moment(row["created_at"]), row["id"]


def test_there_are_many_threads_and_some_are_deep() -> None:
    roots = {r["reply_to"] for r in FIRST.values() if "reply_to" in r} & {
        r["id"] for r in FIRST.values() if "reply_to" not in r
    }
    assert len(roots) >= 40
    assert sum(depth(row) >= 3 for row in FIRST.values()) >= 10
    assert max(depth(row) for row in FIRST.values()) >= 5


def test_tags_match_the_hashtags() -> None:
    tagged = 0
    for row in CURRENT.values():
        assert row.get("tags", []) == re.findall(r"(?<!\S)#(\w+)", row["text"]), row["id"]
        tagged += "tags" in row
    assert tagged >= 20


def test_mentions_name_members() -> None:
    handles = {row["author"] for row in FIRST.values()}
    mentions = [m for r in CURRENT.values() for m in re.findall(r"@(\w+)", r["text"])]
    assert len(mentions) >= 5
    assert set(mentions) <= handles


@pytest.mark.parametrize("chains", [CHAINS_KO, CHAINS_EN], ids=["ko", "en"])
def test_schedules_change(chains: list[tuple[int, ...]]) -> None:
    assert len(chains) >= 8
    assert any(len(chain) > 2 for chain in chains)
    for chain in chains:
        posts = [CURRENT[town(number)] for number in chain]
        stamps = [moment(post["created_at"]) for post in posts]
        assert stamps == sorted(set(stamps)), chain
        assert len({post["author"] for post in posts}) == 1, chain
        assert len({post["lang"] for post in posts}) == 1, chain


def test_rumours_are_put_right() -> None:
    assert len(RUMOURS) >= 8
    for rumour, correction in RUMOURS:
        told, right = CURRENT[town(rumour)], CURRENT[town(correction)]
        assert moment(told["created_at"]) < moment(right["created_at"])
        assert told["author"] != right["author"]


def test_announcements_are_posted_again() -> None:
    roots = [row for row in CURRENT.values() if "reply_to" not in row and len(row["text"]) > 60]
    pairs = [
        (one["id"], other["id"])
        for one, other in combinations(roots, 2)
        if one["author"] == other["author"]
        and SequenceMatcher(None, one["text"], other["text"], autojunk=False).ratio() > 0.85
    ]
    assert len(pairs) >= 10, pairs


def test_consent_names_known_purposes() -> None:
    for row in FIRST.values():
        for purpose, allowed in row.get("consent", {}).items():
            assert purpose in PURPOSES
            assert isinstance(allowed, bool)


def test_refusals_are_as_described() -> None:
    by_author = {
        NO_TRAINING: {"train": False},
        NO_QUOTING: {"ground": False, "train": False},
    }
    for row in FIRST.values():
        if row["author"] in by_author:
            assert row["consent"] == by_author[row["author"]], row["id"]
        elif row["id"] in UNSEARCHABLE:
            assert row["consent"] == {"search": False, "ground": False, "train": False}
        else:
            assert "consent" not in row, row["id"]
    for author in by_author:
        assert sum(row["author"] == author for row in FIRST.values()) >= 5
    assert set(FIRST) >= UNSEARCHABLE


def test_deletions_follow_their_post() -> None:
    assert len(DELETED) == 5
    for gone in DELETED:
        states = [bool(row.get("deleted")) for row in ROWS if row["id"] == gone]
        assert states == [False, True], gone


def test_edits_follow_their_post_and_change_the_text() -> None:
    edits = [row for row in ROWS if "edited_at" in row]
    assert len(edits) == 5
    for row in edits:
        first = FIRST[row["id"]]
        assert ROWS.index(first) < ROWS.index(row)
        assert row["text"] != first["text"]
        assert row["created_at"] == first["created_at"]
        assert moment(row["edited_at"]) > moment(row["created_at"])
    assert len(ROWS) == len(FIRST) + 5 + 5


def test_one_post_gives_orders_to_the_machine() -> None:
    orders = [
        row["id"]
        for row in CURRENT.values()
        if re.search(r"ignore all previous|<\|im_start\|>", row["text"], re.IGNORECASE)
    ]
    assert orders == [ORDERS]
    text = CURRENT[ORDERS]["text"]
    assert "<|im_start|>system" in text
    assert re.search(r"\[\d+\]", text)
    assert re.search(r"[가-힣]", text)


def test_one_post_carries_markup() -> None:
    marked = [row["id"] for row in CURRENT.values() if re.search(r"<[a-z]+[ >]", row["text"])]
    assert marked == [MARKUP]
    assert "<script>alert(1)</script>" in CURRENT[MARKUP]["text"]
    assert "<img src=x onerror=" in CURRENT[MARKUP]["text"]


def test_unusual_characters_are_there() -> None:
    texts = [row["text"] for row in CURRENT.values()]
    assert sum(bool(re.search(r"[\u0590-\u06ff]{3}", text)) for text in texts) == 1
    assert sum("\u200b" in text for text in texts) == 1
    assert sum(bool(re.search(r"[\U0001f300-\U0001faff]", text)) for text in texts) >= 30


def test_some_posts_are_very_short_and_some_long() -> None:
    lengths = [len(row["text"]) for row in CURRENT.values()]
    assert sum(length <= 6 for length in lengths) >= 3
    assert sum(600 <= length <= 1200 for length in lengths) >= 4
    assert max(lengths) <= 1200


def test_weekdays_fit_their_dates() -> None:
    """Where a weekday stands beside a date, the calendar of 2026 agrees."""
    ko = re.compile(r"(\d+)월 (\d+)일\(([월화수목금토일])\)")
    en = re.compile(
        r"((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day) (\d+) "
        r"(Aug(?:ust)?|September|October|November|December)\b"
    )
    months = {"Aug": 8, "August": 8, "September": 9, "October": 10, "November": 11, "December": 12}
    found = 0
    for row in CURRENT.values():
        for month, day, weekday in ko.findall(row["text"]):
            found += 1
            when = date(2026, int(month), int(day))
            assert "월화수목금토일"[when.weekday()] == weekday, row["id"]
        for weekday, day, month in en.findall(row["text"]):
            found += 1
            assert date(2026, months[month], int(day)).strftime("%A") == weekday, row["id"]
    assert found >= 40


@pytest.mark.parametrize("path", sorted(TOWN.glob("*.jsonl")), ids=lambda path: path.name)
def test_nothing_looks_like_a_real_person(path: Path) -> None:
    text = path.read_text("utf-8")
    for address in re.findall(r"https?://[^\s\"\\]+|www\.\S+", text):
        assert re.match(r"https://town\.example(/|$)", address), address
    for phone in re.findall(r"\d{2,4}-\d{3,4}-\d{4}", text):
        assert "-000-" in phone, phone
    assert not re.search(r"[\w.]+@\w+\.\w+", text)
    assert not re.search(r"\d{6}-\d{7}", text)


def test_there_are_160_questions_with_unique_ids_and_words() -> None:
    assert sorted(q["id"] for q in QUESTIONS) == [f"q-{n:03d}" for n in range(1, 161)]
    assert len({q["question"] for q in QUESTIONS}) == 160
    for question in QUESTIONS:
        assert list(question) == ["id", "lang", "question", "answers", "posts", "overtaken"]
        assert looks_korean(question["question"]) == (question["lang"] == "ko"), question["id"]


@pytest.mark.parametrize("questions", [OPEN, HELD], ids=["open", "held"])
def test_both_files_have_the_same_mix(questions: list[Row]) -> None:
    mix = Counter((q["lang"], bool(q["posts"]), bool(q["overtaken"])) for q in questions)
    assert mix == {
        (lang, answerable, overtaken): count
        for lang in ("ko", "en")
        for answerable, overtaken, count in (
            (True, False, 25),
            (True, True, 5),
            (False, False, 10),
        )
    }


def test_unanswerable_questions_name_nothing() -> None:
    for question in QUESTIONS:
        empty = [question[field] == [] for field in ("answers", "posts")]
        assert all(empty) or not any(empty), question["id"]


@pytest.mark.parametrize("questions", [OPEN, HELD], ids=["open", "held"])
def test_both_files_ask_for_what_was_deleted_or_refused(questions: list[Row]) -> None:
    """What only a deleted post or the author who refuses to be quoted ever said."""
    unanswered = " ".join(q["question"] for q in questions if not q["posts"])
    assert len(re.findall("미니벨로|is Luis asking", unanswered)) == 1
    assert len(re.findall("참돔|Eunha", unanswered)) == 1


def test_answers_stand_in_the_current_posts() -> None:
    """Each answer is in one of its posts, and each post has one of its answers."""
    for question in QUESTIONS:
        texts = [CURRENT[post]["text"].lower() for post in question["posts"]]
        answers = [answer.lower() for answer in question["answers"]]
        for answer in answers:
            assert any(answer in text for text in texts), (question["id"], answer)
        for text in texts:
            assert any(answer in text for answer in answers), (question["id"], text)


def test_no_answer_rests_on_a_deleted_or_refused_post() -> None:
    for question in QUESTIONS:
        for post in question["posts"] + question["overtaken"]:
            assert post not in DELETED, question["id"]
            assert not refused(CURRENT[post], "ground"), question["id"]
            assert not refused(CURRENT[post], "search"), question["id"]


def test_overtaken_posts_are_older_than_the_posts_that_answer() -> None:
    for question in QUESTIONS:
        assert not set(question["posts"]) & set(question["overtaken"])
        for old in question["overtaken"]:
            for new in question["posts"]:
                older, newer = CURRENT[old]["created_at"], CURRENT[new]["created_at"]
                assert moment(older) < moment(newer), question["id"]


def test_some_questions_reach_into_the_other_language() -> None:
    crossing = Counter(
        question["lang"]
        for question in QUESTIONS
        if question["posts"]
        and all(CURRENT[post]["lang"] != question["lang"] for post in question["posts"])
    )
    assert crossing["ko"] >= 3
    assert crossing["en"] >= 3


def test_a_near_duplicate_is_listed_with_its_twin() -> None:
    """Where a post answers, a word-for-word repost of it is named beside it."""
    for question in QUESTIONS:
        for post in question["posts"]:
            text = CURRENT[post]["text"]
            for other in CURRENT.values():
                if other["author"] != CURRENT[post]["author"] or other["id"] in question["posts"]:
                    continue
                if abs(len(other["text"]) - len(text)) > 20 or len(text) < 60:
                    continue
                if other["id"] in question["overtaken"]:
                    continue
                ratio = SequenceMatcher(None, text, other["text"], autojunk=False).ratio()
                assert ratio < 0.85, (question["id"], other["id"])


def test_first_messages() -> None:
    assert [message["id"] for message in MESSAGES] == [f"m-{n:02d}" for n in range(1, 41)]
    for message in MESSAGES:
        assert list(message) == ["id", "lang", "message", "route"]
    assert Counter(message["lang"] for message in MESSAGES) == {"ko": 20, "en": 20}
    assert Counter(message["route"] for message in MESSAGES) == {"talk": 24, "help": 8, "posts": 8}
