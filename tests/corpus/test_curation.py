"""Curation: a reason for every post, whole threads, a split by time, the same every time."""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from curating import add, at, decisions, documents, post, sentence, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.corpus import Curated, NothingToTrainError, Policy, curate, curation
from madang.posts import Consent, Delete, Post, PostLog, SetVisibility


def test_every_post_has_a_decision_and_its_reasons(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        [
            post("kept", "The ferry leaves at seven", lang="en"),
            post("links", "https://town.example/1 @jun"),
            post("empty", "\u200b"),
            post("laugh", "ㅋㅋㅋㅋㅋ"),
            post("emoji", "👍🏽 👍👍"),
            post("tags", "#a1 #b2 #c3 #d4 #e5 buy"),
            post("old", "배가 떠나요", created_at=at(1)),
            post("new", "배가 떠나요!", created_at=at(2)),
            post("hidden", "hidden words"),
            post("mail", "write to mina@town.example or 010-1234-5678"),
        ],
    )
    add(log, [post("refused", "not for training")], train=False)
    log.append([SetVisibility("t:hidden", visible=False)])
    curated = curate(log, tmp_path / "corpus")
    found = decisions(curated)
    assert {one: (*decision.reasons,) for one, decision in found.items()} == {
        "t:kept": (),
        "t:links": ("links and mentions only",),
        "t:empty": ("no text",),
        "t:laugh": ("one character or emoji over and over",),
        "t:emoji": ("one character or emoji over and over",),
        "t:tags": ("a wall of hashtags",),
        "t:old": ("duplicate",),
        "t:new": (),
        "t:hidden": ("hidden",),
        "t:mail": (),
        "t:refused": ("no consent for training",),
    }
    assert found["t:old"].duplicate_of == "t:new"
    assert found["t:old"].document is None
    assert found["t:new"].document == "t:new"
    assert found["t:new"].language == "ko"
    assert found["t:mail"].redacted == {"email": 1, "phone": 1}
    assert all(one.kept == (not one.reasons) for one in found.values())
    assert documents(curated)["t:mail"].texts == ("write to [email] or [phone]",)
    assert set(documents(curated)) == {"t:kept", "t:new", "t:mail"}
    assert curated.counts["posts"] == 11
    assert curated.counts["kept"] == 3
    assert curated.counts["reasons"]["duplicate"] == 1
    assert curated.counts["redacted"] == {"email": 1, "phone": 1}
    texts = (curated.folder / "documents.parquet").read_bytes()
    assert b"not for training" not in texts


def test_a_thread_is_one_document_in_reading_order(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        [
            post("late", "second answer to the question", reply_to="t:root", created_at=at(9)),
            post("root", "what time does it leave", created_at=at(1), lang="en"),
            post("early", "first answer to the question", reply_to="t:root", created_at=at(5)),
            post("deep", "thanks for the first answer", reply_to="t:early", created_at=at(20)),
            post("dup", "ok ok ok", reply_to="t:deep", created_at=at(21)),
            post("below", "and what of sundays then", reply_to="t:dup", created_at=at(22)),
            post("other", "ok ok ok", created_at=at(30)),
            post("a1", "that is fine", reply_to="t:other", created_at=at(31)),
            post("a2", "so it is", reply_to="t:other", created_at=at(32)),
        ],
    )
    document = documents(curate(log, tmp_path / "corpus"))["t:root"]
    assert document.posts == ("t:root", "t:early", "t:deep", "t:below", "t:late")
    assert document.depth == 5  # the reply that is left out still stands between
    assert document.time == at(22)
    assert document.split == "train"


def test_the_most_answered_copy_stays_then_the_newest(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        [
            post("a", "same words here", created_at=at(1)),
            post("b", "Same words here", created_at=at(2)),
            post("c", "same words here.", created_at=at(3)),
            post("r1", "an answer to a", reply_to="t:a", created_at=at(4)),
            post("x", "other words here", created_at=at(5)),
            post("y", "other words here"),
        ],
    )
    found = decisions(curate(log, tmp_path / "corpus"))
    assert [found[f"t:{one}"].duplicate_of for one in "abc"] == [None, "t:a", "t:a"]
    assert found["t:y"].duplicate_of == "t:x"


def test_lines_that_everybody_has_are_cut_out(tmp_path: Path) -> None:
    footer = "I am a bot, and this action was performed automatically."
    log = written(
        tmp_path,
        [post(f"{n}", f"{sentence(n)}\n\n{footer}") for n in range(25)]
        + [post("only", f"{footer}\nhi {footer}\n{footer}")]
        + [post("own", f"{sentence(99)}\n{sentence(98)}")],
    )
    curated = curate(log, tmp_path / "corpus", policy=Policy(similarity=0.99))
    texts = documents(curated)
    assert texts["t:3"].texts == (sentence(3),)
    assert texts["t:own"].texts == (f"{sentence(99)}\n{sentence(98)}",)
    assert footer in texts["t:only"].texts[0]  # `hi` stays, with its line


# -- the split by time --------------------------------------------------------------------------


def _timeline() -> list[Post]:
    posts = [post(f"{n}", sentence(n), created_at=at(n)) for n in range(96)]
    posts.append(post("late-reply", sentence(200), created_at=at(500), reply_to="t:5"))
    posts.append(post("future", sentence(201), created_at=at(600)))
    posts.append(post("future-reply", sentence(202), created_at=at(601), reply_to="t:future"))
    posts.append(post("newest", sentence(203), created_at=at(602)))
    posts.append(post("undated", sentence(204)))
    posts.append(post("to-undated", sentence(205), created_at=at(700), reply_to="t:undated"))
    return posts


def test_the_newest_dated_documents_are_the_future(tmp_path: Path) -> None:
    log = written(tmp_path, _timeline())
    curated = curate(log, tmp_path / "corpus", policy=Policy(future_share=0.06))
    found, texts = decisions(curated), documents(curated)
    future = {one for one, document in texts.items() if document.split == "future"}
    assert future == {"t:95", "t:future", "t:newest"}
    assert texts["t:future"].posts == ("t:future", "t:future-reply")
    assert texts["t:5"].posts == ("t:5",)
    assert found["t:late-reply"].reasons == ("newer than the cut-off, in an older thread",)
    assert texts["t:undated"].split == "train"
    assert texts["t:undated"].posts == ("t:undated",)
    assert found["t:to-undated"].reasons == ("newer than the cut-off, in an older thread",)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 30)), st.integers(-1, 30)),
        min_size=5,
        max_size=40,
    ),
    st.sampled_from([0.02, 0.2, 0.5]),
)
def test_nothing_newer_than_the_cut_off_is_trained_on(
    tmp_path_factory: pytest.TempPathFactory,
    given_posts: list[tuple[int | None, int]],
    share: float,
) -> None:
    folder = tmp_path_factory.mktemp("split")
    posts = [
        post(
            f"{n}",
            sentence(n),
            created_at=None if time is None else at(time),
            reply_to=f"t:{parent}" if 0 <= parent < n else None,
        )
        for n, (time, parent) in enumerate(given_posts)
    ]
    curated = curate(written(folder, posts), folder / "corpus", policy=Policy(future_share=share))
    times = {one.id: one.created_at for one in posts}
    train = [p for d in curated.documents() if d.split == "train" for p in d.posts]
    future = [p for d in curated.documents() if d.split == "future" for p in d.posts]
    dated = [time for time in times.values() if time is not None]
    assert len(future) <= share * len(dated)
    assert None not in [times[one] for one in future]
    if future:
        begin = min(times[one] for one in future)
        assert all(times[one] is None or times[one] < begin for one in train)
    held = [one.post for one in curated.decisions() if not one.kept]
    assert sorted([*train, *future, *held]) == sorted(times)
    assert curated.training_bytes() == bytes_by_language(curated)


def bytes_by_language(curated: Curated) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for one in curated.documents():
        if one.split == "train":
            sizes[one.language] += sum(len(text.encode()) for text in one.texts)
    return sizes


def test_bytes_are_counted_by_language(tmp_path: Path) -> None:
    texts = ["첫 배는 아침 일곱 시에 떠난다고 합니다.", "The first ferry leaves at seven o'clock."]
    posts = [post(f"{n}", text, created_at=None) for n, text in enumerate(texts)]
    curated = curate(written(tmp_path, posts), tmp_path / "corpus")
    assert curated.training_bytes() == {
        "ko": len(texts[0].encode()),
        "en": len(texts[1].encode()),
    }


def test_posts_of_one_moment_are_all_for_training(tmp_path: Path) -> None:
    log = written(tmp_path, [post(f"{n}", sentence(n), created_at=at(0)) for n in range(100)])
    curated = curate(log, tmp_path / "corpus")
    assert curated.counts["splits"] == {"train": 100}


# -- the same every time ------------------------------------------------------------------------


def _mixed(count: int) -> list[Post]:
    rng = random.Random(11)
    posts: list[Post] = []
    for n in range(count):
        text = sentence(rng.randrange(count * 4 // 5), rng.randint(1, 30))
        if rng.random() < 0.1:
            text += "\nsigned, the town council\n010-1234-5678"
        posts.append(
            post(
                f"{n}",
                text,
                created_at=at(n) if rng.random() < 0.9 else None,
                reply_to=f"t:{rng.randrange(n)}" if n and rng.random() < 0.3 else None,
            )
        )
    return posts


def files(curated: Curated) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in curated.folder.iterdir()}


def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    log = written(tmp_path, _mixed(4500))
    one, three = (curate(log, tmp_path / f"c{n}", workers=n) for n in (1, 3))
    assert one.fingerprint == three.fingerprint
    assert files(one) == files(three)
    assert one.counts["reasons"]["duplicate"] > 50


def _meaning(curated: Curated) -> Any:
    return (
        documents(curated),
        {one.post: (one.reasons, one.duplicate_of) for one in curated.decisions()},
    )


def test_the_order_of_import_changes_nothing(tmp_path: Path) -> None:
    posts = _mixed(600)
    first = curate(written(tmp_path, posts), tmp_path / "corpus")
    # A reply that comes before its post is given its thread later, so parents stay first.
    roots = [one for one in posts if one.reply_to is None]
    replies = [one for one in posts if one.reply_to is not None]
    random.Random(3).shuffle(roots)
    (tmp_path / "again").mkdir()
    again = curate(written(tmp_path / "again", [*roots, *replies]), tmp_path / "again" / "corpus")
    assert _meaning(again) == _meaning(first)


def test_the_same_again_is_opened_and_a_change_makes_another(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "one two three"), post("2", "four five six")])
    stages: list[str] = []

    def run(policy: Policy = Policy()) -> Curated:  # noqa: B008
        stages.clear()
        return curate(
            log, tmp_path / "corpus", policy=policy, progress=lambda stage, *_: stages.append(stage)
        )

    first = run()
    assert set(stages) == {"reading", "comparing", "writing"}
    assert run() == first
    assert stages == []
    assert run(Policy(future_share=0.5)).fingerprint != first.fingerprint
    add(log, [post("2", "four five seven")])
    edited = run()
    assert edited.fingerprint != first.fingerprint
    assert documents(edited)["t:2"].texts == ("four five seven",)
    log.append([Consent("t", "mina", {"train": False})])
    with pytest.raises(NothingToTrainError):
        run()


# -- withdrawn meanwhile ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["erased", "refused"])
def test_what_is_withdrawn_while_it_is_read_is_not_in_it(tmp_path: Path, how: str) -> None:
    log = written(tmp_path, [post("stays", "words that stay")])
    gone = replace(post("gone", "words that go"), author="jun")
    add(log, [gone])
    event = Delete("t:gone") if how == "erased" else Consent("t", "jun", {"train": False})
    done: list[str] = []

    def withdraw(stage: str, *_: int) -> None:
        if stage == "writing" and not done:
            done.append(stage)
            log.append([event])

    curated = curate(log, tmp_path / "corpus", progress=withdraw)
    assert done
    assert set(documents(curated)) == {"t:stays"}
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == [curated.fingerprint]


# -- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("posts", "train", "says"),
    [
        ([], True, "holds no posts yet"),
        ([post("1", "words enough")], False, "nobody granted it"),
        ([post(f"{n}", "🎉") for n in range(5)], True, "none of them says anything"),
    ],
)
def test_nothing_to_train_on_is_one_sentence(
    tmp_path: Path, posts: Sequence[Post], train: bool, says: str
) -> None:
    log = written(tmp_path, posts, train=train)
    with pytest.raises(NothingToTrainError, match=says) as raised:
        curate(log, tmp_path / "corpus")
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "corpus").iterdir()) == []


def test_five_posts_work(tmp_path: Path) -> None:
    log = written(tmp_path, [post(f"{n}", sentence(n), created_at=at(n)) for n in range(5)])
    assert curate(log, tmp_path / "corpus").counts["splits"] == {"train": 5}


def test_a_post_of_ten_megabytes(tmp_path: Path) -> None:
    text = "\n".join(sentence(n, 40) for n in range(42_000))
    log = written(tmp_path, [post("big", text), post("small", "a small one")])
    (kept,) = [
        one for one in curate(log, tmp_path / "corpus").documents() if one.posts == ("t:big",)
    ]
    assert kept.texts == (text,)


def test_many_copies_of_one_post_are_one(tmp_path: Path) -> None:
    log = written(
        tmp_path, [post(f"{n}", "every day the same", created_at=at(n)) for n in range(8_000)]
    )
    curated = curate(log, tmp_path / "corpus")
    assert curated.counts["kept"] == 1
    assert documents(curated)["t:7999"].posts == ("t:7999",)


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written(tmp_path, [post("1", "one two three")])

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(curation, "write_documents", full)
    with pytest.raises(OSError, match="the disk is full"):
        curate(log, tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []


def test_only_some_languages(tmp_path: Path) -> None:
    log = written(
        tmp_path, [post("ko", "배가 몇 시에 떠나요"), post("en", "when does it leave", lang="en")]
    )
    curated = curate(log, tmp_path / "corpus", policy=Policy(languages=("ko",)))
    assert set(documents(curated)) == {"t:ko"}
    assert decisions(curated)["t:en"].reasons == ("a language that the policy leaves out",)


def test_a_policy_comes_back_from_its_json() -> None:
    policy = Policy(languages=("ko", "en"), future_share=0.1)
    assert Policy.from_dict(policy.to_dict()) == policy
    with pytest.raises(ValueError, match="has no field colour"):
        Policy.from_dict({"colour": 1})
    with pytest.raises(ValueError, match="future_share is 1"):
        Policy(future_share=1)


def test_the_columns_are_those_that_others_read(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "one two three", created_at=at(1))])
    folder = curate(log, tmp_path / "corpus").folder
    schema = pq.read_schema(folder / "documents.parquet")
    assert schema.names == ["document", "posts", "texts", "language", "time", "split", "depth"]
    assert Curated.open(folder).fingerprint == folder.name
    with pytest.raises(ValueError, match="holds no whole corpus"):
        Curated.open(tmp_path)


def test_an_unknown_engine_is_an_error(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "one two three")])
    with pytest.raises(ValueError, match="'spark' is no engine"):
        curate(log, tmp_path / "corpus", engine="spark")  # type: ignore[arg-type]


def test_a_log_opened_elsewhere_gives_the_same(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "one two three")])
    first = curate(log, tmp_path / "corpus")
    with PostLog(tmp_path / "posts.db") as other:
        assert curate(other, tmp_path / "elsewhere").fingerprint == first.fingerprint
