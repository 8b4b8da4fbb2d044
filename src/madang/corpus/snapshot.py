"""The posts as the log holds them now, as Arrow batches, and the fingerprint of them all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from madang.corpus.decision import Reason
from madang.corpus.policy import Policy
from madang.posts import PostLog, Version
from madang.posts.stored import VISIBLE

BATCH_POSTS: Final = 2048
BATCH_BYTES: Final = 4 << 20
_HIDDEN: Final = int(Reason.HIDDEN)
_NO_CONSENT: Final = int(Reason.NO_CONSENT)

POSTS: Final = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("thread", pa.string(), nullable=False),
        pa.field("reasons", pa.uint16(), nullable=False),
        pa.field("payload", pa.binary()),
    ]
)
"""A post before it is looked at; one that may not be trained on comes without its payload."""


class Leaves:
    """The leaves of a Merkle tree over posts: 32 bytes held for each."""

    def __init__(self) -> None:
        self._leaves = bytearray()

    def __len__(self) -> int:
        return len(self._leaves) // 32

    def add(self, post: Version, *, refused: bool) -> None:
        """Take a post in: its id, its thread, and its salted digest where it may be used."""
        digest = b"" if refused else post.digest()
        leaf = b"\x00".join((b"", post.id.encode(), post.thread.encode(), digest))
        self._leaves += hashlib.sha256(leaf).digest()

    def fingerprint(self, policy: Policy) -> str:
        """Return SHA-256 over the policy and the tree's root, in hexadecimal.

        The tree is that of RFC 6962 over the sorted leaves, so the order in which posts came
        into the log is not in it.
        """
        words = np.frombuffer(bytes(self._leaves), dtype=">u8").reshape(-1, 4)
        order = np.lexsort((words[:, 1], words[:, 0]))
        level = words[order].tobytes()
        while len(level) > 32:
            pairs = len(level) // 64 * 64
            nodes = bytearray()
            for start in range(0, pairs, 64):
                nodes += hashlib.sha256(b"\x01" + level[start : start + 64]).digest()
            level = bytes(nodes) + level[pairs:]
        return hashlib.sha256(policy.to_json() + b"\x00" + level).hexdigest()


def read_posts(log: PostLog, leaves: Leaves) -> Iterator[pa.RecordBatch]:
    """Yield every post that is not erased, in the order of keys, in batches of `POSTS`.

    The reads are short ones, so that the log can be written and its erased bytes purged
    meanwhile; whoever builds on the batches looks at the log again before publishing.
    """
    after = 0
    while found := log.versions(after, BATCH_POSTS):
        after = found[-1].key
        refusals = [_refusal(post) for post in found]
        for post, refusal in zip(found, refusals, strict=True):
            leaves.add(post, refused=bool(refusal))
        start, size = 0, 0
        for index, post in enumerate(found):
            size += len(post.payload)
            if size >= BATCH_BYTES or index == len(found) - 1:
                yield _batch(found[start : index + 1], refusals[start : index + 1])
                start, size = index + 1, 0


def fingerprint(log: PostLog, policy: Policy) -> str:
    """Return the fingerprint that a corpus of the log's posts would have now."""
    leaves = Leaves()
    after = 0
    while found := log.versions(after, BATCH_POSTS):
        after = found[-1].key
        for post in found:
            leaves.add(post, refused=bool(_refusal(post)))
    return leaves.fingerprint(policy)


def _refusal(post: Version) -> int:
    if post.allows("train"):
        return 0
    return _NO_CONSENT if post.state == VISIBLE else _HIDDEN


def _batch(posts: list[Version], refusals: list[int]) -> pa.RecordBatch:
    columns = [
        [post.key for post in posts],
        [post.id for post in posts],
        [post.thread for post in posts],
        refusals,
        [None if refusal else post.payload for post, refusal in zip(posts, refusals, strict=True)],
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, POSTS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=POSTS)
