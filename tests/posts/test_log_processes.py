"""The log under several processes, and under a process that is killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from madang.posts import PostLog

# Writes batches of ten posts for ever, each with one edit and one deletion of the batch before,
# and says after each which batch is safe.
WRITER = """
import sys
from madang.posts import *
log = PostLog(__import__("pathlib").Path(sys.argv[1]))
grant = log.grant(Grant("operator", "a test", FILE_GRANT))
name = sys.argv[2]
for batch in range(int(sys.argv[3]), int(sys.argv[4])):
    posts = [Post(id=f"{name}:{batch}-{n}", source=name, text=f"글 {batch} {n}") for n in range(10)]
    events = [Write(post, grant) for post in posts]
    if batch:
        events.append(Delete(f"{name}:{batch - 1}-9"))
        events.append(Write(Post(id=f"{name}:{batch - 1}-0", source=name, text="edited"), grant))
    log.append(events)
    print(batch, flush=True)
"""


def start(path: Path, name: str, first: int, last: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_loses_nothing_that_it_was_told_is_safe(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "posts.db"
    PostLog(path).close()
    wait = random.Random(seed)
    safe = -1
    for _ in range(3):
        writer = start(path, "t", safe + 1, 100_000)
        assert writer.stdout is not None
        said = [writer.stdout.readline()]
        time.sleep(wait.uniform(0.0, 0.2))
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
        writer.wait()
        safe = max(int(line) for line in said if line.endswith("\n"))
        with PostLog(path) as log:
            log.check()
            texts = {one.post.id: one.post.text for one in log.scan(limit=1_000_000)}
            last = max(int(name.split(":")[1].split("-")[0]) for name in texts)
            assert last in (safe, safe + 1), "a batch is kept whole or not at all"
            for batch in range(last + 1):
                kept = [n for n in range(10) if f"t:{batch}-{n}" in texts]
                assert kept == list(range(10 if batch == last else 9))
                assert texts[f"t:{batch}-0"] == ("edited" if batch < last else f"글 {batch} 0")
            safe = last


def test_two_processes_write_one_log(tmp_path: Path) -> None:
    path = tmp_path / "posts.db"
    writers = [start(path, name, 0, 25) for name in ("a", "b", "c")]
    for writer in writers:
        assert writer.wait(60) == 0
    with PostLog(path) as log:
        assert len(log.scan(limit=10_000)) == 3 * (25 * 10 - 24)
        events = log.read(limit=100_000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        keys = [one.key for one in log.scan(limit=10_000)]
        assert len(set(keys)) == len(keys)


def test_erased_bytes_wait_for_a_reader_and_then_go(tmp_path: Path) -> None:
    path = tmp_path / "posts.db"
    assert start(path, "t", 0, 2).wait(60) == 0
    with PostLog(path) as log, PostLog(path) as other:
        log.truncate()
        with other.transaction() as connection:
            connection.execute("SELECT count(*) FROM posts").fetchone()
            assert not log.truncate()
        assert log.truncate()
        assert path.with_name("posts.db-wal").stat().st_size == 0
