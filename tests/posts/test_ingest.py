"""Imports: every row accounted for, twice is once, and a killed one goes on."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.posts import PURPOSES, PostLog
from madang.posts.ingest import GivenGrant, IngestReport, ingest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture
def log(tmp_path: Path) -> PostLog:
    return PostLog(tmp_path / "home" / "posts.db")


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def row(name: object, text: str = "안녕하세요", **more: object) -> dict[str, object]:
    return {"id": name, "source": "t", "text": text, **more}


def run(log: PostLog, path: Path, **more: Any) -> IngestReport:
    report = ingest(log, path, rejects=log.path.parent / "rejects", **more)
    whole = report.written + report.edited + report.deleted + report.unchanged
    assert report.read == whole + sum(report.skipped.values())
    return report


def test_every_row_is_accounted_for_and_each_skipped_one_is_named(
    log: PostLog, tmp_path: Path
) -> None:
    path = lines(
        tmp_path / "posts.jsonl",
        row(1),
        row(2, "ferry"),
        row("5.70306E+17"),
        row(3, ""),
        row(4, visibility="direct"),
        row(5, created_at="soon"),
        row(2, "ferry at 9"),
        row(1),
        {"id": "t:2", "source": "t", "deleted": True},
        row(2, "ferry"),
        [1, 2],
    )
    report = run(log, path)
    assert (report.read, report.written, report.edited, report.deleted, report.unchanged) == (
        11,
        2,
        1,
        1,
        1,
    )
    assert report.skipped == {
        "invalid_id": 1,
        "no_text": 1,
        "private": 1,
        "invalid_time": 1,
        "erased": 1,
        "malformed": 1,
    }
    assert report.rejects is not None
    rejects = [json.loads(line) for line in report.rejects.read_text("utf-8").splitlines()]
    assert [(one["row"], one["reason"]) for one in rejects] == [
        (3, "invalid_id"),
        (4, "no_text"),
        (5, "private"),
        (6, "invalid_time"),
        (10, "erased"),
        (11, "malformed"),
    ]
    assert all("ferry" not in json.dumps(one) for one in rejects), "rejects hold no text"


def test_importing_twice_changes_nothing(log: PostLog, tmp_path: Path) -> None:
    path = lines(tmp_path / "posts.jsonl", row(1, "A"), row(2), row(1, "B"))
    assert run(log, path).edited == 1
    last = log.last_seq
    again = run(log, path)
    assert (again.unchanged, again.edited, again.written) == (3, 0, 0)
    assert log.last_seq == last
    assert log.find(["t:1"])["t:1"].post.text == "B"


def test_the_sample_imports_whole_and_twice_is_once(log: PostLog) -> None:
    sample = ROOT / "samples" / "town" / "posts.jsonl"
    first = run(log, sample)
    assert (first.written, first.edited, first.deleted) == (437, 5, 5)
    last = log.last_seq
    again = run(log, sample)
    assert (again.written, again.edited, again.deleted) == (0, 0, 0)
    assert log.last_seq == last


def test_an_operators_file_grants_no_training_and_an_own_archive_does(
    log: PostLog, tmp_path: Path
) -> None:
    run(log, lines(tmp_path / "file.jsonl", row(1)))
    outbox = {
        "@context": "https://www.w3.org/ns/activitystreams",
        "type": "OrderedCollection",
        "orderedItems": [
            {
                "type": "Create",
                "object": {
                    "id": "https://town.example/users/mina/statuses/1",
                    "type": "Note",
                    "published": "2026-11-01T09:00:00Z",
                    "attributedTo": "https://town.example/users/mina",
                    "content": "<p>안녕 harbour</p>",
                    "to": ["https://www.w3.org/ns/activitystreams#Public"],
                    "cc": [],
                },
            }
        ],
    }
    path = tmp_path / "outbox.json"
    path.write_text(json.dumps(outbox), "utf-8")
    assert run(log, path).written == 1
    theirs, own = log.scan()
    assert theirs.allows("ground") and not theirs.allows("train")
    assert own.allows("train") and not own.allows("export")
    assert (
        "own archive outbox.json"
        in {one.purpose: one.because for one in log.explain(own.post.id)}["train"]
    )


def test_a_given_grant_counts_and_its_basis_is_told(log: PostLog, tmp_path: Path) -> None:
    given = GivenGrant(frozenset({"search", "train"}), "the members voted on 1 May")
    run(log, lines(tmp_path / "file.jsonl", row(1)), grant=given)
    because = {one.purpose: (one.allowed, one.because) for one in log.explain("t:1")}
    assert because["train"] == (True, "granted by the import (the members voted on 1 May)")
    assert because["ground"] == (False, "nobody granted it")


def test_a_post_whose_author_refuses_all_is_counted_as_refused(
    log: PostLog, tmp_path: Path
) -> None:
    no = dict.fromkeys(PURPOSES, False)
    report = run(log, lines(tmp_path / "file.jsonl", row(1, consent=no)))
    assert report.skipped == {"refused": 1} and log.scan() == []


def test_a_truncated_file_imports_what_is_whole_and_says_so(log: PostLog, tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps(row(n)).encode() + b"\n" for n in range(5000)))
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    report = run(log, path)
    assert report.warning is not None and "posts.jsonl.gz" in report.warning
    assert 0 < report.written < 5000
    path.write_bytes(whole)
    assert run(log, path).unchanged >= report.written


def test_progress_reaches_the_end(log: PostLog, tmp_path: Path) -> None:
    path = lines(tmp_path / "posts.jsonl", *(row(n) for n in range(5000)))
    heard: list[tuple[int, int, int | None]] = []
    run(log, path, progress=lambda *now: heard.append(now))
    assert [rows for rows, _, _ in heard] == sorted(rows for rows, _, _ in heard)
    assert heard[-1] == (5000, path.stat().st_size, path.stat().st_size)


IMPORTER = """
import sys
from pathlib import Path
from madang.posts import PostLog
from madang.posts.ingest import ingest
log = PostLog(Path(sys.argv[1]))
print("open", flush=True)
ingest(log, Path(sys.argv[2]), rejects=Path(sys.argv[3]))
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_import_goes_on_and_ends_like_one_that_was_not(tmp_path: Path, seed: int) -> None:
    path = lines(tmp_path / "posts.jsonl", *(row(n % 30_000, f"글 {n}") for n in range(40_000)))
    killed = tmp_path / "killed" / "posts.db"
    wait = random.Random(seed)
    for _ in range(2):
        importer = subprocess.Popen(
            [sys.executable, "-c", IMPORTER, str(killed), str(path), str(tmp_path / "rejects")],
            stdout=subprocess.PIPE,
        )
        assert importer.stdout is not None
        importer.stdout.readline()
        time.sleep(wait.uniform(0.0, 0.6))
        importer.send_signal(signal.SIGKILL)
        importer.wait()
    with PostLog(killed) as log, PostLog(tmp_path / "whole" / "posts.db") as other:
        run(log, path)
        run(other, path)
        posts = [one.post for one in log.scan(limit=100_000)]
        assert posts == [one.post for one in other.scan(limit=100_000)]
        assert len(posts) == 30_000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b'{"id":"t:1","text":"a"}']))))
def test_no_bytes_break_an_import(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    path = folder / "posts.jsonl"
    path.write_bytes(b'{"id":"t:0","text":"first"}\n' + b"\n".join(rows))
    with PostLog(folder / "posts.db") as log:
        try:
            report = run(log, path)
        except ValueError as refusal:
            assert "posts.jsonl" in str(refusal)
        else:
            assert report.written >= 1


@pytest.mark.skipif(not SHARED.exists(), reason="the real archives are absent")
@pytest.mark.parametrize(
    ("name", "rows", "more"),
    [
        ("archives/x", 1223, {}),
        ("archives/mastodon/outbox.json", 305, {}),
        (
            "archives/csv/twcs.csv",
            5000,
            {
                "source": "twcs",
                "columns": {
                    "id": "tweet_id",
                    "author": "author_id",
                    "reply_to": "in_response_to_tweet_id",
                },
            },
        ),
    ],
)
def test_real_archives_import_with_every_post_accounted_for(
    log: PostLog, name: str, rows: int, more: dict[str, Any]
) -> None:
    report = run(log, SHARED / name, **more)
    assert report.read == rows
    assert report.written + sum(report.skipped.values()) == rows
    assert set(report.skipped) <= {"repost", "no_text"}
    assert run(log, SHARED / name, **more).unchanged == report.written
