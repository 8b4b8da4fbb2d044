"""A home: fresh, erased, shared by processes, stopped."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tantivy

import madang
from madang.home import Brake, Home, StoppedError, ingest_sample, remove_sample
from madang.posts import Post
from madang.text import terms

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with Home(tmp_path / "home") as opened:
        yield opened


def reached(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def files(folder: Path) -> bytes:
    content = []
    for path in folder.rglob("*"):
        try:
            content.append(path.read_bytes() if path.is_file() else b"")
        except FileNotFoundError:
            continue
    return b"".join(content)


def frequency(index: Path, term: str) -> int:
    """Count a term in all files of an index, also for posts that are only marked as deleted."""
    shards = [path.parent for path in index.glob("*/meta.json")]
    assert shards
    return sum(tantivy.Index.open(str(shard)).searcher().doc_freq("body", term) for shard in shards)


def test_the_public_names_are_there() -> None:
    assert all(getattr(madang, name) is not None for name in madang.__all__)
    with pytest.raises(AttributeError):
        _ = madang.Nothing  # type: ignore[attr-defined]


def test_a_home_is_made_for_its_owner_alone(home: Home) -> None:
    assert home.folder.root.stat().st_mode & 0o077 == 0
    key = home.folder.admin_key()
    assert len(key) > 30 and home.folder.admin_key() == key
    assert home.folder.key.stat().st_mode & 0o077 == 0


def test_a_written_post_is_found_and_an_edit_replaces_it(home: Home) -> None:
    assert home.write(Post(id="local:1", source="local", text="등대에 불이 켜졌다")) == "written"
    assert [hit.post.id for hit in home.search("등대").hits] == ["local:1"]
    assert home.write(Post(id="local:1", source="local", text="등대에 불이 켜졌다")) == "unchanged"
    assert home.write(Post(id="local:1", source="local", text="The lamp is lit")) == "edited"
    assert home.search("등대").hits == ()
    (hit,) = home.search("lamps").hits
    assert hit.post.edited_at is not None


def test_erasing_leaves_no_byte_and_no_term_in_any_file(home: Home) -> None:
    ingest_sample(home)
    word, name = "quaysidexylophone", "해당화필무렵"
    home.write(Post(id="local:1", source="local", text=f"{word} {name}", author="zzauthorzz"))
    (stem,) = terms(word)
    assert frequency(home.folder.index, stem) == 1
    assert word.encode() in files(home.folder.root)
    assert home.forget("local:1") == "deleted"
    assert home.search(word).hits == () and home.post("local:1") is None
    for trace in (word, name, "zzauthorzz"):
        assert trace.encode() not in files(home.folder.root), trace
    for term in (stem, "당화", "zzauthorzz"):
        assert frequency(home.folder.index, term) == 0, term
    assert home.search("ferry").hits, "the others are still found"


def gone(folder: Path) -> bool:
    """Return whether no file of a home holds the word `quaysidexylophone`, as text or term."""
    try:
        found = frequency(folder / "index", "quaysidexylophon")
    except ValueError:
        return False  # A shard was replaced while we looked.
    return not found and b"quaysidexylophone" not in files(folder)


def test_in_the_background_a_deletion_reaches_every_file_within_a_minute(home: Home) -> None:
    ingest_sample(home)
    home.follow_in_background()
    home.write(Post(id="local:1", source="local", text="quaysidexylophone"))
    assert reached(lambda: bool(home.search("quaysidexylophone").hits), 5)
    home.forget("local:1")
    assert home.search("quaysidexylophone").hits == ()
    assert reached(lambda: gone(home.folder.root), 60)


def test_what_was_not_purged_before_a_crash_is_purged_at_the_next_start(tmp_path: Path) -> None:
    script = """
import os, sys
from madang.home import Home
from madang.posts import Delete, Post
home = Home(sys.argv[1])
home.write(Post(id="local:1", source="local", text="quaysidexylophone"))
home.log.append([Delete("local:1")])
home.index.follow()
os.kill(os.getpid(), 9)
"""
    folder = tmp_path / "home"
    subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert not gone(folder)
    with Home(folder) as home:
        home.follow_in_background()
        assert reached(lambda: gone(folder), 60)


def test_a_post_that_may_not_ground_is_never_evidence(home: Home) -> None:
    ingest_sample(home)
    refused = {row.post.id for row in home.log.scan() if not row.allows("ground")}
    assert refused
    for question in (
        "What does Kang Taesu say?",
        "강태수 님이 뭐라고 했어요?",
        "요즘 무슨 얘기 해?",
    ):
        answer = home.ask(question)
        assert not refused & {post.id for post in answer.evidence}


def test_the_sample_goes_when_own_posts_come(home: Home) -> None:
    assert ingest_sample(home).written == 437
    assert home.folder.examples.exists()
    home.write(Post(id="local:1", source="local", text="나의 글"))
    assert remove_sample(home) == 432
    assert not home.folder.examples.exists()
    assert home.overview().sources == ("local",)
    assert remove_sample(home) == 0


def test_the_brake_ends_a_running_answer_within_a_second(home: Home) -> None:
    ingest_sample(home)
    steps = home.steps(madang.Request("When does the ferry to Dalseom leave?"))
    next(steps)
    stopped = threading.Timer(0.2, Brake(home.folder.brake).pull)
    stopped.start()
    home.follow_in_background()
    started = time.monotonic()
    with pytest.raises(StoppedError):
        while time.monotonic() - started < 10:
            time.sleep(0.3)
            next(steps)
    assert time.monotonic() - started < 2
    with pytest.raises(StoppedError):
        home.ask("and now?")
    home.start()
    assert home.ask("When does the library open?").sentences


WRITER = """
import sys
from madang.home import Home
from madang.posts import Post
from madang.text import terms
with Home(sys.argv[1]) as home:
    for n in range(int(sys.argv[3])):
        home.write(Post(id=f"{sys.argv[2]}:{n}", source=sys.argv[2], text=f"글 number {n}"))
        print(n, flush=True)
"""


def test_two_processes_share_one_home(tmp_path: Path) -> None:
    folder = str(tmp_path / "home")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, folder, name, "20"], stdout=subprocess.PIPE)
        for name in ("a", "b")
    ]
    with Home(folder) as home:
        home.follow_in_background()
        for writer in writers:
            writer.communicate(timeout=100)
            assert writer.returncode == 0
        home.catch_up()
        assert home.index.check() == (set(), set())
        assert len(home.search("number", limit=100).hits) == 40


@pytest.mark.parametrize("seconds", [0.6, 0.9, 1.3])
def test_a_stream_of_writes_that_is_killed_leaves_index_and_log_equal(
    tmp_path: Path, seconds: float
) -> None:
    folder = tmp_path / "home"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), "a", "10000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(seconds)
    writer.kill()
    said = [0, *(int(line) for line in writer.stdout if line.endswith("\n"))]
    writer.wait()
    with Home(folder) as home:
        home.catch_up()
        assert home.index.check() == (set(), set())
        ids = [one.post.id for one in home.log.scan(limit=100_000)]
        assert ids == [f"a:{n}" for n in range(len(ids))]
        assert len(ids) - 1 in (said[-1], said[-1] + 1)


def test_a_damaged_index_is_built_again(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    with Home(folder) as home:
        ingest_sample(home)
        before = [hit.post.id for hit in home.search("달섬 배").hits]
    for path in (folder / "index").rglob("*"):
        if path.is_file() and path.suffix in (".idx", ".term", ".fast", ".pos", ".store"):
            path.write_bytes(b"\x00" * max(1, path.stat().st_size // 2))
    with Home(folder) as home:
        home.catch_up()
        assert [hit.post.id for hit in home.search("달섬 배").hits] == before
        assert home.index.check() == (set(), set())
