"""The log: appends, versions, threads, erasure and what consumers read."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from madang.posts import (
    FILE_GRANT,
    OWNER_GRANT,
    Consent,
    DamagedLogError,
    Delete,
    DeleteAuthor,
    Grant,
    NewerLogError,
    Post,
    PostLog,
    SetVisibility,
    Write,
)
from madang.posts.schema import MIGRATIONS


@pytest.fixture
def log(tmp_path: Path) -> PostLog:
    return PostLog(tmp_path / "posts.db")


def granted(log: PostLog) -> int:
    return log.grant(Grant("operator", "a test", FILE_GRANT))


def post(name: str, text: str = "배가 7시에 떠납니다", **fields: object) -> Post:
    return Post(id=f"t:{name}", source="t", text=text, author="mina", **fields)  # type: ignore[arg-type]


def write(log: PostLog, *posts: Post) -> list[str]:
    grant = granted(log)
    return list(log.append([Write(one, grant) for one in posts]))


def test_a_post_comes_back_as_it_was_written(log: PostLog) -> None:
    whole = post(
        "1",
        "가온포 ferry ⛴️",
        author_name="Mina",
        created_at=datetime(2026, 11, 1, 9, 30, tzinfo=UTC),
        lang="ko",
        tags=("배",),
        visibility="unlisted",
        url="https://town.example/1",
        metrics={"likes": 3},
    )
    assert write(log, whole) == ["written"]
    assert log.find(["t:1"])["t:1"].post == whole


def test_equal_is_unchanged_and_back_again_is_two_edits(log: PostLog) -> None:
    a, b = post("1", "A"), post("1", "B")
    assert write(log, a, a, b, a, a) == ["written", "unchanged", "edited", "edited", "unchanged"]
    assert [event.kind for event in log.history("t:1")] == ["write", "edit", "edit"]


def test_likes_are_no_edit_but_are_kept(log: PostLog) -> None:
    one = post("1")
    write(log, one)
    digest = log.digest("t:1")
    assert write(log, replace(one, metrics={"likes": 9})) == ["unchanged"]
    assert log.find(["t:1"])["t:1"].post.metrics == {"likes": 9}
    assert log.digest("t:1") == digest


def test_a_version_from_before_the_last_edit_is_no_edit(log: PostLog) -> None:
    first = post("1", "A")
    second = post("1", "B", edited_at=datetime(2026, 11, 2, tzinfo=UTC))
    assert write(log, first, second, first) == ["written", "edited", "unchanged"]
    assert log.find(["t:1"])["t:1"].post.text == "B"


def test_a_file_that_was_read_before_brings_no_old_version_back(log: PostLog) -> None:
    grant = granted(log)
    rows = [Write(post("1", "A"), grant), Write(post("1", "B"), grant)]
    assert log.append(rows) == ["written", "edited"]
    assert log.append(rows, known_file=True) == ["unchanged", "unchanged"]
    assert log.find(["t:1"])["t:1"].post.text == "B"


def test_a_tombstone_wins_over_writes_before_and_after_it(log: PostLog) -> None:
    write(log, post("1"))
    assert log.append([Delete("t:1"), Delete("t:2")]) == ["deleted", "deleted"]
    assert write(log, post("1"), post("2")) == ["erased", "erased"]
    assert log.find(["t:1", "t:2"]) == {}
    assert log.is_erased("t:1") and log.is_erased("t:2") and not log.is_erased("t:3")
    assert log.append([Delete("t:1")]) == ["unchanged"]


def test_an_erased_author_stays_erased_in_one_source_only(log: PostLog) -> None:
    other = replace(post("1"), id="u:1", source="u")
    write(log, post("1"), post("2"), other)
    assert log.append([DeleteAuthor("t", "mina")]) == ["deleted"]
    assert write(log, post("3"), replace(other, text="still here")) == ["erased", "edited"]
    assert [one.post.id for one in log.scan()] == ["u:1"]


def test_erasure_leaves_no_byte_of_the_post_in_any_file(tmp_path: Path) -> None:
    marks = ["zanzibarquay", "해당화필무렵", "Mina Okonkwo", "mina_handle"]
    with PostLog(tmp_path / "posts.db") as log:
        secret = Post(
            id="t:1",
            source="t",
            text=f"{marks[0]} {marks[1]} " * 400,
            author=marks[3],
            author_name=marks[2],
        )
        write(log, secret, replace(secret, text=f"edited {marks[0]} {marks[1]}"), post("2"))
        assert all(mark.encode() in _bytes(tmp_path) for mark in marks)
        log.append([Delete("t:1")])
        assert log.truncate()
        for mark in marks:
            assert mark.encode() not in _bytes(tmp_path), mark
        assert log.history("t:1")[0].payload is None
        assert log.digest("t:1") is None


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_deleted_post_keeps_its_threads_key(log: PostLog) -> None:
    write(log, post("1"), post("2", reply_to="t:1"))
    log.append([Delete("t:1")])
    assert log.find(["t:2"])["t:2"].thread == "t:1"
    assert [one.post.id for one in log.thread("t:1")] == ["t:2"]


@pytest.mark.parametrize("order", ["123", "321", "213", "231", "312", "132"])
@pytest.mark.parametrize("together", [True, False])
def test_threads_join_in_whatever_order_their_posts_come(
    log: PostLog, order: str, together: bool
) -> None:
    posts = {
        "1": post("1"),
        "2": post("2", reply_to="t:1"),
        "3": post("3", reply_to="t:2"),
    }
    if together:
        write(log, *(posts[name] for name in order))
    else:
        for name in order:
            write(log, posts[name])
    assert {one.thread for one in log.scan()} == {"t:1"}


def test_posts_that_answer_each_other_in_a_circle_are_one_thread(log: PostLog) -> None:
    write(log, post("1", reply_to="t:2"), post("2", reply_to="t:1"), post("3", reply_to="t:3"))
    threads = {one.post.id: one.thread for one in log.scan()}
    assert threads["t:1"] == threads["t:2"]
    assert threads["t:3"] == "t:3"


def test_hidden_posts_are_kept_and_allow_nothing(log: PostLog) -> None:
    write(log, post("1"))
    assert log.append([SetVisibility("t:1", False)]) == ["edited"]
    hidden = log.find(["t:1"])["t:1"]
    assert not hidden.visible and not hidden.allows("search")
    assert {one.allowed for one in log.explain("t:1")} == {False}
    assert log.append([SetVisibility("t:1", True), SetVisibility("t:9", True)]) == [
        "edited",
        "unknown",
    ]
    assert log.find(["t:1"])["t:1"].allows("search")


def test_a_refusal_wins_over_every_grant_and_holds_for_posts_to_come(log: PostLog) -> None:
    grant = log.grant(Grant("owner", "own archive", OWNER_GRANT))
    log.append([Write(post("1"), grant, own=True)])
    assert log.find(["t:1"])["t:1"].allows("train")
    assert log.append([Consent("t", "mina", {"train": False, "ground": False})]) == ["edited"]
    log.append([Write(post("2"), grant, own=True)])
    for name in ("t:1", "t:2"):
        one = log.find([name])[name]
        assert one.allows("search") and not one.allows("train") and not one.allows("ground")
        because = {decision.purpose: decision.because for decision in log.explain(name)}
        assert because["train"] == "the author refused"
    log.append([Consent("t", "mina", {"ground": True})])
    assert log.find(["t:1"])["t:1"].allows("ground")
    assert not log.find(["t:1"])["t:1"].allows("train")


def test_a_post_that_may_be_used_for_nothing_is_not_stored(log: PostLog) -> None:
    grant = granted(log)
    no = {"search": False, "ground": False, "embed": False}
    assert log.append([Write(post("1"), grant, signals=no)]) == ["refused"]
    assert log.scan() == []


def test_importing_again_never_narrows_a_grant_and_may_widen_it(log: PostLog) -> None:
    narrow = granted(log)
    wide = log.grant(Grant("operator", "members agreed", OWNER_GRANT))
    log.append([Write(post("1"), narrow)])
    before = log.last_seq
    assert log.append([Write(post("1"), wide)]) == ["unchanged"]
    assert log.find(["t:1"])["t:1"].allows("train")
    assert log.changed_keys(before)[0] == [1], "consumers must hear that more is allowed"
    log.append([Write(post("1"), narrow)])
    assert log.find(["t:1"])["t:1"].allows("train")


def test_an_older_version_changes_no_author(log: PostLog) -> None:
    first = replace(post("1", "A"), author="minsu")
    second = post("1", "B", edited_at=datetime(2026, 11, 2, tzinfo=UTC))
    write(log, first, second, replace(first, metrics={"likes": 2}))
    assert log.author_keys("t", "mina") == [1] and log.author_keys("t", "minsu") == []


def test_unlisted_posts_are_not_trained_on_without_their_authors_grant(log: PostLog) -> None:
    grant = log.grant(Grant("operator", "a basis", OWNER_GRANT))
    unlisted = post("1", visibility="unlisted")
    log.append([Write(unlisted, grant), Write(replace(unlisted, id="t:2"), grant, own=True)])
    found = log.find(["t:1", "t:2"])
    assert not found["t:1"].allows("train") and found["t:2"].allows("train")


def test_consumers_hear_of_every_change_once_and_in_order(log: PostLog) -> None:
    write(log, post("1"), post("2"), post("3", "x"))
    seq = log.last_seq
    write(log, post("3", "y"))
    log.append([Delete("t:1")])
    changed, erased, last = log.changed_keys(seq)
    assert (changed, erased, last) == ([3, 1], [1], log.last_seq)
    assert log.changed_keys(last) == ([], [], last)
    assert log.append([Consent("t", "mina", {"ads": False})]) == ["edited"]
    assert log.changed_keys(last)[0] == [2, 3]
    assert [event.kind for event in log.read(seq)] == ["edit", "delete", "consent"]


def test_an_append_that_fails_leaves_nothing_behind(log: PostLog) -> None:
    with pytest.raises(ValueError, match="no grant 99"):
        log.append([Write(post("1"), granted(log)), Write(post("2"), 99)])
    assert log.scan() == [] and log.last_seq == 1


def test_equal_grants_are_recorded_once(log: PostLog) -> None:
    assert granted(log) == granted(log)
    assert log.last_seq == 1


def test_explain_names_the_signal_that_decided(log: PostLog) -> None:
    log.append([Write(post("1"), granted(log), signals={"ground": False, "export": True})])
    because = {one.purpose: (one.allowed, one.because) for one in log.explain("t:1")}
    assert because["search"] == (True, "granted by the import (a test)")
    assert because["ground"] == (False, "the post or its author's profile says no")
    assert because["train"] == (False, "nobody granted it")
    assert because["export"] == (True, "the post or its author's profile says yes")
    with pytest.raises(KeyError):
        log.explain("t:9")


@pytest.mark.parametrize("damage", ["empty", "header", "middle", "other", "text"])
def test_a_damaged_log_is_refused_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "posts.db"
    with PostLog(path) as log:
        write(log, *(post(str(n), f"글 {n} " * 50) for n in range(300)))
        log.truncate()
    content = bytearray(path.read_bytes())
    if damage == "empty":
        content.clear()
    elif damage == "header":
        content[:100] = b"\xff" * 100
    elif damage == "middle":
        content[8192 : len(content) // 2] = b"\xa5" * (len(content) // 2 - 8192)
    elif damage == "text":
        content[:] = b"these are not the posts you are looking for\n" * 200
    path.write_bytes(content)
    if damage == "other":
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE notes (text TEXT)")
        content[:] = path.read_bytes()
    with pytest.raises(DamagedLogError, match="nothing was changed"):
        PostLog(path).check()
    assert path.read_bytes() == bytes(content)


def test_a_log_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "posts.db"
    PostLog(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(NewerLogError, match="install the later version"):
        PostLog(path)
