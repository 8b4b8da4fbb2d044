"""Erasure from corpora."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from curating import post, sentence, written

from madang.corpus import curate, purge
from madang.corpus.hashing import short_hash
from madang.posts import Delete


def test_the_bytes_of_an_erased_post_are_gone(tmp_path: Path) -> None:
    log = written(tmp_path, [post("gone", "nobodyelsewrotethis"), post("stays", "other words")])
    corpora = tmp_path / "corpus"
    first = curate(log, corpora)
    assert any("nobodyelsewrotethis" in d.texts for d in first.documents())
    (first.folder / "tokens-0").mkdir()
    (first.folder / "tokens-0" / "tokens-00000.bin").write_bytes(b"nobodyelsewrotethis")
    assert purge(corpora, {"t:other"}) == 0
    log.append([Delete("t:gone")])
    assert purge(corpora, {"t:gone"}) == 1
    assert list(corpora.iterdir()) == []
    again = curate(log, corpora)
    assert [one.texts for one in again.documents()] == [("other words",)]
    assert all(
        b"t:gone" not in path.read_bytes() and b"nobodyelse" not in path.read_bytes()
        for path in again.folder.iterdir()
    )


def test_a_copy_that_was_left_out_goes_too(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "the same words"), post("2", "the same words")])
    curate(log, tmp_path / "corpus")
    assert purge(tmp_path / "corpus", {"t:1"}) == 1


def test_what_was_never_read_keeps_no_corpus_from_standing(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "words enough")])
    from curating import add

    add(log, [post("2", "refused words")], train=False)
    curate(log, tmp_path / "corpus")
    assert purge(tmp_path / "corpus", {"t:2"}) == 0
    assert purge(tmp_path / "nowhere", {"t:2"}) == 0
    assert purge(tmp_path / "corpus", set()) == 0


def test_a_corpus_without_its_list_of_posts_goes(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "words enough")])
    curated = curate(log, tmp_path / "corpus")
    (curated.folder / "posts.u64").write_bytes(b"123")
    assert purge(tmp_path / "corpus", {"t:2"}) == 1


def test_what_dead_processes_left_goes_and_what_lives_is_looked_through(tmp_path: Path) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    dead, other, holding, begun = (
        tmp_path / f".building-{process}-{n}"
        for n, process in enumerate([done.pid, os.getpid(), os.getpid(), os.getpid()])
    )
    for folder in (dead, other, holding, begun, tmp_path / ".removed-1"):
        folder.mkdir()
    # Unsorted, as it is while posts are still being read.
    for folder, names in ((other, ["t:9", "t:8"]), (holding, ["t:9", "t:1", "t:5"])):
        hashes = b"".join(short_hash(name).to_bytes(8, "little") for name in names)
        (folder / "posts.u64").write_bytes(hashes)
    assert purge(tmp_path, {"t:1"}) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.name, begun.name])


def test_an_erasure_under_a_corpus_that_is_being_made(tmp_path: Path) -> None:
    log = written(tmp_path, [post("gone", "words that go"), post("stays", "words that stay")])
    done: list[int] = []

    def erase(stage: str, *_: int) -> None:
        if stage == "comparing" and not done:
            log.append([Delete("t:gone")])
            done.append(purge(tmp_path / "corpus", {"t:gone"}))

    curated = curate(log, tmp_path / "corpus", progress=erase)
    assert done == [0]
    assert [one.posts for one in curated.documents()] == [("t:stays",)]


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('numpy', 'pyarrow', 'torch', 'rensa'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from madang.corpus import purge\n"
        "print(purge(Path(sys.argv[1]), {'t:1'}))\n"
    )
    log = written(tmp_path, [post("1", "words enough")])
    curate(log, tmp_path / "corpus")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "corpus")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_many_posts_are_looked_through_within_a_second(tmp_path: Path) -> None:
    log = written(tmp_path, [post(f"{n}", sentence(n, 5)) for n in range(2000)])
    curate(log, tmp_path / "corpus")
    started = time.process_time()
    assert purge(tmp_path / "corpus", {f"x:{n}" for n in range(10_000)}) == 0
    assert time.process_time() - started < 1
