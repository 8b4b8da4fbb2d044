"""The commands and programs in the documents are run, in the order in which they stand there.

Each document has a folder of its own, with the home that `make up` leaves behind and the files of
which the documents speak. A block that cannot be run here says why in a comment before it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from documents import PAGES, Block, blocks, name

from madang.home import Home, ingest_sample

LIMIT_SECONDS = 120
WITH_COMMANDS = [
    page
    for page in PAGES
    if any(one.language in ("sh", "python") and not one.not_run for one in blocks(page))
]


def outbox() -> str:
    """Return a Mastodon outbox with one public post."""
    actor = "https://social.example/users/mina"
    everyone = "https://www.w3.org/ns/activitystreams#Public"
    note = {
        "id": f"{actor}/statuses/1",
        "type": "Note",
        "attributedTo": actor,
        "published": "2026-10-03T08:00:00Z",
        "to": [everyone],
        "cc": [f"{actor}/followers"],
        "content": "<p>The reading room opens at nine. 열람실은 아홉 시에 엽니다.</p>",
        "tag": [],
    }
    create = {
        "id": f"{actor}/statuses/1/activity",
        "type": "Create",
        "actor": actor,
        "published": note["published"],
        "to": note["to"],
        "cc": note["cc"],
        "object": note,
    }
    return json.dumps(
        {
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": "outbox.json",
            "type": "OrderedCollection",
            "totalItems": 1,
            "orderedItems": [create],
        }
    )


def x_archive(path: Path) -> None:
    """Write an X archive with one post."""
    tweet = {
        "id_str": "1712000000000000001",
        "created_at": "Tue Oct 06 09:30:00 +0000 2026",
        "full_text": "The tide table for October is on the harbour wall.",
        "lang": "en",
        "favorite_count": "2",
        "retweet_count": "0",
        "entities": {"hashtags": [], "urls": [], "user_mentions": [], "symbols": []},
    }
    account = {"accountId": "42", "username": "mina", "accountDisplayName": "Mina"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/manifest.js", "window.__THAR_CONFIG = {}")
        archive.writestr(
            "data/account.js", f"window.YTD.account.part0 = {json.dumps([{'account': account}])}"
        )
        archive.writestr(
            "data/tweets.js", f"window.YTD.tweets.part0 = {json.dumps([{'tweet': tweet}])}"
        )


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder that each document starts from."""
    folder = tmp_path_factory.mktemp("yard")
    with Home(folder / ".madang") as home:
        ingest_sample(home)
    (folder / "outbox.json").write_text(outbox(), "utf-8")
    x_archive(folder / "twitter-archive.zip")
    (folder / "reviews.csv").write_text(
        "review_id,review,author\n1,The chowder was worth the walk.,mina\n", "utf-8"
    )
    return folder


Outcomes = dict[tuple[str, str], Path]


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """Keep the folder that each first block left, since translations begin with the same one."""
    return {}


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_the_commands_of_a_document_work(
    page: Path, yard: Path, outcomes: Outcomes, tmp_path: Path
) -> None:
    folder = tmp_path / "a yard"
    first, *others = (
        one for one in blocks(page) if one.language in ("sh", "python") and not one.not_run
    )
    before = outcomes.get((first.language, commands(first)))
    shutil.copytree(before or yard, folder)
    if before is None:
        run(first, page, folder)
        outcomes[first.language, commands(first)] = tmp_path / "after the first block"
        shutil.copytree(folder, tmp_path / "after the first block")
    for block in others:
        run(block, page, folder)


def commands(block: Block) -> str:
    """Return what a block does, without what it says about it."""
    return "\n".join(line for line in block.content.splitlines() if not line.startswith("#"))


def run(block: Block, page: Path, folder: Path) -> None:
    """Run a block as it stands in the document; it must end well and without a traceback."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {one: value for one, value in os.environ.items() if one != "MADANG_HOME"}
    if block.language == "sh":
        command = ["bash", "-eu", "-o", "pipefail", "-c", block.content]
    else:
        command = [sys.executable, "-c", block.content]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    told = f"{name(page)}:{block.line}\n{block.content}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told
    assert "Traceback" not in done.stderr, told
