"""The index follows the log: crashes, erasure, damage, and more than one process."""

from __future__ import annotations

import json
import logging
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tantivy

from madang.posts import FILE_GRANT, Delete, DeleteAuthor, Grant, Post, PostLog, Write
from madang.search import LexicalIndex, lexical, searching, state

Writer = Callable[..., None]


def letters(number: int) -> str:
    """Return a word for a number, which tokens leave whole."""
    return f"{number:04}".translate(str.maketrans("0123456789", "bcdfghjklm")) + "q"


def terms_in_files(folder: Path, prefix: str) -> set[str]:
    """Return the terms that any file of the index holds, of deleted posts too.

    Dictionaries are compressed, so their bytes cannot be searched for words; what no commit
    names any more must not be there at all.
    """
    found: set[str] = set()
    for shard in folder.glob("shard-*"):
        names = {path.name.split(".")[0] for path in shard.iterdir()} - {""}
        meta = json.loads((shard / "meta.json").read_bytes())
        assert names - {"meta"} == {one["segment_id"].replace("-", "") for one in meta["segments"]}
        searcher = tantivy.Index.open(str(shard)).searcher()
        for field in ("body", "author"):
            found.update(term for term, _ in searcher.terms_with_prefix(field, prefix))
    return found


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lexical, searching, state):
        monkeypatch.setattr(module, "SHARD_SIZE", 100)


def test_following_again_does_nothing(index: LexicalIndex, write: Writer) -> None:
    write(a="one", b="two")
    assert index.follow() == 2
    assert index.follow() == 0
    assert index.keys() == {1, 2}
    assert index.check() == (set(), set())


def test_what_was_indexed_is_there_after_opening_again(
    index: LexicalIndex, log: PostLog, write: Writer, tmp_path: Path
) -> None:
    write(a="one", b="two")
    index.follow()
    index.close()
    with LexicalIndex(tmp_path / "index", log) as again:
        assert again.cursor == log.last_seq
        assert [hit.post.id for hit in again.search("two")] == ["t:b"]
        assert again.follow() == 0


def test_erased_words_are_in_no_file_after_a_purge(
    index: LexicalIndex, log: PostLog, write: Writer, tmp_path: Path, small_shards: None
) -> None:
    write(**{f"n{n}": f"harbour news number {n}" for n in range(150)})
    write(
        secret="xyzzyqua harbour 뷁쉙쫡",
        other={"text": "plughfoo", "author": "zorkmidname"},
        edited="frobnitzword before",
    )
    index.follow()
    write(edited="nothing after")
    index.follow()
    words = ["xyzzyqua", "뷁쉙", "쉙쫡", "plughfoo", "zorkmidnam", "@zorkmid", "frobnitzword"]
    for word in words:
        assert terms_in_files(tmp_path / "index", word)
    log.append([Delete("t:secret"), DeleteAuthor("t", "zorkmidname"), Delete("t:edited")])
    index.follow()
    assert index.dirty
    assert index.purge()
    assert not index.dirty
    for word in words:
        assert not terms_in_files(tmp_path / "index", word)
    assert index.check() == (set(), set())
    assert len(index.search("harbour", limit=500)) == 150


def test_the_need_to_purge_survives_closing(
    index: LexicalIndex, log: PostLog, write: Writer, tmp_path: Path
) -> None:
    write(a="xyzzyqua", b="stays")
    index.follow()
    log.append([Delete("t:a")])
    index.follow()
    index.close()
    with LexicalIndex(tmp_path / "index", log) as again:
        assert again.dirty
        assert again.purge()
        assert not terms_in_files(tmp_path / "index", "xyzzyqua")
        assert terms_in_files(tmp_path / "index", "stay")


def test_purging_while_others_write_and_search(
    index: LexicalIndex, log: PostLog, write: Writer, tmp_path: Path, small_shards: None
) -> None:
    write(**{f"n{n}": f"harbour xyzzy{letters(n)}" for n in range(300)})
    index.follow()
    stop = threading.Event()
    mistakes: list[BaseException] = []

    def repeat(step: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                step()
        except BaseException as error:
            mistakes.append(error)

    def search() -> None:
        assert len(index.search("harbour")) == 10

    threads = [threading.Thread(target=repeat, args=[step]) for step in (index.purge, search)]
    for thread in threads:
        thread.start()
    for n in range(0, 240, 16):
        log.append([Delete(f"t:n{n}")])
        write(**{f"late{n}": f"harbour late {n}", f"n{n + 1}": "harbour edited"})
        index.follow()
    stop.set()
    for thread in threads:
        thread.join()
    assert not mistakes
    while not index.purge():
        pass
    assert index.check() == (set(), set())
    left = terms_in_files(tmp_path / "index", "xyzzy")
    assert len(left) == 300 - 15 * 2
    assert not left & {f"xyzzy{letters(n)}" for n in range(0, 240, 16)}


def test_rebuilding_changes_nothing_that_is_found(
    index: LexicalIndex, write: Writer, small_shards: None
) -> None:
    write(**{f"n{n}": f"harbour number {n}" for n in range(250)})
    index.follow()
    before = [(hit.post.id, hit.score) for hit in index.search("harbour number 7", limit=50)]
    index.rebuild()
    after = [(hit.post.id, hit.score) for hit in index.search("harbour number 7", limit=50)]
    assert after == before
    assert index.check() == (set(), set())


@pytest.mark.parametrize("seed", range(6))
def test_damage_is_seen_and_repaired_with_one_warning(
    index: LexicalIndex,
    log: PostLog,
    write: Writer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    small_shards: None,
    seed: int,
) -> None:
    write(**{f"n{n}": f"harbour number {n} {n * 7919}" for n in range(250)})
    index.follow()
    index.close()
    chance = random.Random(seed)
    files = [
        path for path in (tmp_path / "index").rglob("*") if path.stat().st_size and path.is_file()
    ]
    victim = chance.choice(sorted(files))
    if seed == 0:
        victim = tmp_path / "index" / "state.json"
    data = bytearray(victim.read_bytes())
    match chance.randrange(3):
        case 0:
            data[chance.randrange(len(data))] ^= 0xFF
        case 1:
            data = data[: chance.randrange(len(data))]
        case _:
            data = bytearray(chance.randbytes(len(data)))
    victim.write_bytes(data)
    with caplog.at_level(logging.WARNING), LexicalIndex(tmp_path / "index", log) as again:
        assert len(caplog.records) == 1, victim
        again.follow()
        assert again.check() == (set(), set())
        assert len(again.search("harbour", limit=500)) == 250
    caplog.clear()
    with LexicalIndex(tmp_path / "index", log) as again:
        assert not caplog.records
        assert again.follow() == 0


def test_a_shard_that_vanishes_while_open_is_built_again(
    index: LexicalIndex,
    write: Writer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    small_shards: None,
) -> None:
    write(**{f"n{n}": "harbour" for n in range(150)})
    index.follow()
    for shard in (tmp_path / "index").glob("shard-1-*"):
        shutil.rmtree(shard)
    write(late="harbour late")
    with caplog.at_level(logging.WARNING):
        index.follow()
    assert len(caplog.records) == 1
    assert index.check() == (set(), set())
    assert len(index.search("harbour", limit=500)) == 151


def test_every_byte_of_a_commit_is_guarded(
    index: LexicalIndex, log: PostLog, write: Writer, tmp_path: Path
) -> None:
    write(a="one two three")
    index.follow()
    index.close()
    (shard,) = (tmp_path / "index").glob("shard-*")
    for path in sorted(shard.iterdir()):
        data = path.read_bytes()
        if not data or path.suffix == ".json":
            continue
        for at in range(0, len(data), max(1, len(data) // 7)):
            broken = bytearray(data)
            broken[at] ^= 0x20
            path.write_bytes(broken)
            with pytest.raises(lexical.DamagedShardError):
                lexical.verify(shard)
        path.write_bytes(data)
        lexical.verify(shard)


def test_an_index_of_other_rules_is_built_again(
    index: LexicalIndex,
    log: PostLog,
    write: Writer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(a="one")
    index.follow()
    index.close()
    monkeypatch.setattr("madang.search.state.TERMS_VERSION", "another")
    with LexicalIndex(tmp_path / "index", log) as again:
        assert again.keys() == set()
        assert again.follow() == 1
        assert len(list((tmp_path / "index").glob("shard-*"))) == 1


def test_an_index_ahead_of_its_log_is_built_again(
    index: LexicalIndex, write: Writer, tmp_path: Path
) -> None:
    write(a="one")
    index.follow()
    index.close()
    with (
        PostLog(tmp_path / "other.db") as other,
        LexicalIndex(tmp_path / "index", other) as again,
    ):
        again.follow()
        assert again.keys() == set()


def test_a_second_object_reads_what_the_first_writes_and_takes_over(
    index: LexicalIndex, log: PostLog, write: Writer, tmp_path: Path
) -> None:
    with LexicalIndex(tmp_path / "index", log) as reader:
        assert index.is_writer
        assert not reader.is_writer
        write(a="harbour one")
        assert reader.follow() == 0
        assert index.follow() == 1
        assert [hit.post.id for hit in reader.search("harbour")] == ["t:a"]
        log.append([Delete("t:a")])
        write(b="harbour two")
        index.follow()
        index.purge()
        assert [hit.post.id for hit in reader.search("harbour")] == ["t:b"]
        assert reader.cursor == index.cursor
        index.close()
        write(c="harbour three")
        assert reader.follow() == 1
        assert reader.is_writer
        assert {hit.post.id for hit in reader.search("harbour")} == {"t:b", "t:c"}


def test_one_post_is_followed_quickly(index: LexicalIndex, write: Writer) -> None:
    times = []
    for n in range(20):
        write(**{f"n{n}": f"word{letters(n)}"})
        started = time.perf_counter()
        index.follow()
        times.append(time.perf_counter() - started)
        assert len(index.search(f"word{letters(n)}")) == 1
    assert sorted(times)[10] < 1.0


@pytest.mark.slow
def test_killed_at_any_moment_the_index_equals_the_log(
    log: PostLog, tmp_path: Path, small_shards: None
) -> None:
    grant = log.grant(Grant("operator", "a test", FILE_GRANT))
    chance = random.Random(7)
    erased: set[int] = set()
    number = 0
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("following.py")), str(tmp_path)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        until = time.monotonic() + chance.uniform(0.05, 0.7)
        while time.monotonic() < until:
            fresh = range(number, number + 40)
            number += 40
            log.append(
                [
                    Write(Post(id=f"t:{n}", source="t", text=f"harbour xyz{letters(n)}"), grant)
                    for n in fresh
                ]
            )
            gone = {chance.randrange(number) for _ in range(5)} - erased
            erased |= gone
            log.append([Delete(f"t:{n}") for n in gone])
        child.kill()
        child.wait()
        child.stdout.close()
    with LexicalIndex(tmp_path / "index", log) as index:
        assert index.is_writer
        index.follow()
        while not index.purge():
            pass
        assert index.check() == (set(), set())
        assert len(index.search("harbour", limit=number + 1)) == number - len(erased)
        for n in chance.sample(range(number), 20):
            assert bool(index.search(f"xyz{letters(n)}")) == (n not in erased)
        left = terms_in_files(tmp_path / "index", "xyz")
        assert left == {f"xyz{letters(n)}" for n in set(range(number)) - erased}
        assert len(list((tmp_path / "index").glob("shard-*"))) == number // 100 + 1
