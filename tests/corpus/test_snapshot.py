"""The fingerprint: of the posts' digests and the policy, whatever the order."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from curating import add, post, written

from madang.corpus.policy import Policy
from madang.corpus.snapshot import POSTS, Leaves, fingerprint, read_posts
from madang.posts import Version


def test_a_version_has_the_digest_that_the_log_states(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "one"), post("2", "two", reply_to="t:1")])
    add(log, [post("2", "two, edited", reply_to="t:1")])
    for version in log.versions():
        assert version.digest().hex() == log.digest(version.id)
        assert version.thread == "t:1"
        assert version.allows("train")
    assert [one.id for one in log.versions(1)] == ["t:2"]
    assert [one.id for one in log.versions(limit=1)] == ["t:1"]


def test_batches_hold_every_post_and_no_refused_text(tmp_path: Path) -> None:
    log = written(tmp_path, [post("1", "words that may be used")])
    add(log, [post("2", "words that may not")], train=False)
    (batch,) = read_posts(log, Leaves())
    assert batch.schema == POSTS
    assert batch.column("payload").to_pylist()[1] is None
    assert fingerprint(log, Policy()) != fingerprint(log, Policy(future_share=0.1))


def _version(name: str, text: bytes = b"text", thread: str = "t") -> Version:
    return Version(1, name, thread, 0, 255, b"salt", text)


def _print(*versions: Version, refused: bool = False) -> str:
    leaves = Leaves()
    for version in versions:
        leaves.add(version, refused=refused)
    return leaves.fingerprint(Policy())


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_order_is_not_in_it_and_everything_else_is(count: int) -> None:
    versions = [_version(f"p{n}") for n in range(count)]
    whole = _print(*versions)
    random.Random(count).shuffle(versions)
    assert _print(*versions) == whole
    others = {
        _print(*versions[1:]) if count > 1 else "",
        _print(*versions[1:], _version("other")),
        _print(*versions[1:], versions[0]._replace(payload=b"edited")),
        _print(*versions[1:], versions[0]._replace(salt=b"other")),
        _print(*versions[1:], versions[0]._replace(thread="other")),
        _print(*versions, refused=True),
    }
    assert len(others) == 6
    assert whole not in others


def test_the_tree_is_that_of_rfc_6962() -> None:
    leaves = sorted(
        hashlib.sha256(b"\x00p%d\x00t\x00" % n + hashlib.sha256(b"salttext").digest()).digest()
        for n in range(3)
    )
    pair = hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    root = hashlib.sha256(b"\x01" + pair + leaves[2]).digest()
    expected = hashlib.sha256(Policy().to_json() + b"\x00" + root).hexdigest()
    assert _print(*(_version(f"p{n}") for n in range(3))) == expected
