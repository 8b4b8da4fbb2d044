"""Near duplicates: texts whose sets of character n-grams overlap, found by MinHash.

Broder, "On the resemblance and containment of documents" (1997). Texts that share a band of
MinHash values (locality-sensitive hashing, Indyk and Motwani 1998) are candidates; the exact
Jaccard similarity of a candidate pair decides. A text shorter than an n-gram is one n-gram, so
that short texts are duplicates where they are equal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import rensa

from madang.corpus.policy import Policy

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

LONGEST_COMPARED: Final = 200_000
"""Code points of a text that near duplicates are looked for by; equality looks at all of them."""

NUMBERS_TELL_BELOW: Final = 200
"""Code points; in a shorter text the numbers are the news: `Episode 1`, `Episode 2`."""

SEED: Final = 20_260_101
_NUMBER: Final = re.compile(r"\d+")
_LINK_OR_MENTION: Final = re.compile(r"https?://[^\s\x00]+|www\.[^\s\x00]+|@(?<!\w@)[\w.@-]+")
# Runs of marks and spaces, but for a single space, which most of them are.
_MARKS: Final = re.compile(r"[^\w\x00 ][^\w\x00]*| [^\w\x00]+")
_SPACES: Final = re.compile(r"[^\S\x00]+")


def comparable_texts(texts: Sequence[str]) -> list[str]:
    """Return texts as they are compared: without links, mentions, case, width and marks.

    A text that would have nothing left keeps its marks. Numbers stay: `7시` is not `8시`.
    The texts, without NUL, are worked on as one, which is ten times as fast.
    """
    if not texts:
        return []
    joined = unicodedata.normalize("NFKC", "\x00".join(texts)).casefold()
    plain = _without_long_runs(_LINK_OR_MENTION.sub(" ", joined))
    words = [one.strip() for one in _MARKS.sub(" ", plain).split("\x00")]
    if not all(words):
        marks = _SPACES.sub(" ", joined).split("\x00")
        words = [one or mark.strip() for one, mark in zip(words, marks, strict=True)]
    return words


def _without_long_runs(text: str) -> str:
    """Return a text in which no letter stands more than twice in a row: `ㅋㅋㅋㅋ` is `ㅋㅋ`."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    thirds = np.flatnonzero((points[2:] == points[:-2]) & (points[1:-1] == points[:-2])) + 2
    letters = [point for point in np.unique(points[thirds]).tolist() if chr(point).isalpha()]
    thirds = thirds[np.isin(points[thirds], letters)]
    return np.delete(points, thirds).tobytes().decode("utf-32-le")


def text_hashes(compared: Sequence[str]) -> Hashes:
    """Return a hash of each text by which equal ones are found."""
    digests = b"".join(blake2b(one.encode(), digest_size=8).digest() for one in compared)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def signature_bands(compared: Sequence[str], policy: Policy) -> Hashes:
    """Return the bands of each text, [texts, bands]; zeros where it is shorter than an n-gram."""
    n, bands = policy.shingle, policy.bands
    result = np.zeros((len(compared), bands), dtype=np.uint64)
    rows = [index for index, text in enumerate(compared) if len(text) >= n]
    if not rows:
        return result
    shingles, offsets = _shingles([compared[row][:LONGEST_COMPARED] for row in rows], n)
    signatures = np.array(
        rensa.RMinHash.digest_matrix_from_flat_token_hashes(
            shingles, offsets, bands * policy.band_rows, SEED
        ).to_rows(),
        dtype=np.uint64,
    ).reshape(len(rows), bands, policy.band_rows)
    mixed = np.zeros((len(rows), bands), dtype=np.uint64)
    for column in range(policy.band_rows):
        mixed = _mix(mixed ^ signatures[:, :, column])
    result[rows] = mixed
    return result


def similarity(batch: pa.RecordBatch, shingle: int) -> pa.RecordBatch:
    """Return the Jaccard similarity of each row's two texts, columns `a` and `b`.

    It is 0 where one is short and their numbers differ.
    """
    texts = comparable_texts([*batch.column("a").to_pylist(), *batch.column("b").to_pylist()])
    values = [
        _jaccard(one[:LONGEST_COMPARED], other[:LONGEST_COMPARED], shingle)
        for one, other in zip(texts[: len(batch)], texts[len(batch) :], strict=True)
    ]
    return pa.RecordBatch.from_pydict({"similarity": pa.array(values, pa.float64())})


def _jaccard(one: str, other: str, shingle: int) -> float:
    if min(len(one), len(other)) < NUMBERS_TELL_BELOW and (
        _NUMBER.findall(one) != _NUMBER.findall(other)
    ):
        return 0.0
    first, second = _shingle_set(one, shingle), _shingle_set(other, shingle)
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def _shingle_set(text: str, n: int) -> set[str]:
    # Posts are short: sets of strings are built in a fifth of the time that sorted hashes take.
    return {text[start : start + n] for start in range(max(1, len(text) - n + 1))}


def _shingles(texts: Sequence[str], n: int) -> tuple[Hashes, Hashes]:
    """Return the hashed n-grams of texts of at least n code points, one text after another."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    points = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    count = len(points) - n + 1
    if count < 1:
        return np.zeros(1, dtype=np.uint64), np.array([0, 1], dtype=np.uint64)
    hashed = points[:count].copy()
    for place in range(1, n):
        hashed *= np.uint64(0x100000001B3)
        hashed += points[place : place + count]
    ends = np.cumsum(lengths)
    inside = np.ones(count, dtype=np.bool_)
    # An n-gram that starts in the last n - 1 characters of a text reaches into the next one.
    across = (ends[:-1, None] - np.arange(1, n)[None, :]).ravel()
    inside[across] = False
    offsets = np.concatenate(([0], np.cumsum(lengths - n + 1))).astype(np.uint64)
    return _mix(hashed[inside]), offsets


def _mix(values: Hashes) -> Hashes:
    """Spread the bits of 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def duplicate_clusters(
    text_hash: Hashes,
    length: npt.NDArray[np.int32],
    candidates: npt.NDArray[np.bool_],
    band: Callable[[int], Hashes],
    similar: Callable[[Positions, Positions], npt.NDArray[np.bool_]],
    policy: Policy,
) -> tuple[Positions, Positions]:
    """Return (exact, cluster): for each post the position of the one that stands for it.

    `exact` stands for the posts of equal text, `cluster` for all that are linked by near
    duplicates. `candidates` masks the posts that take part; the others stand for themselves.
    `band` returns a column of `signature_bands`; `similar` decides pairs of positions. The
    result depends on the texts alone, not on their order. Every post is compared with two others
    of its band at most, so that a million copies cost a million comparisons.
    """
    everyone = np.arange(len(text_hash), dtype=np.int64)
    exact = everyone.copy()
    taking = everyone[candidates]
    order = taking[np.argsort(text_hash[taking], kind="stable")]
    if not len(order):
        return exact, exact.copy()
    starts = np.flatnonzero(np.diff(text_hash[order], prepend=~text_hash[order[:1]]))
    exact[order] = np.repeat(order[starts], np.diff(starts, append=len(order)))
    # In the order of their texts' hashes, from here on.
    distinct = order[starts]
    distinct = distinct[length[distinct] >= policy.shingle]
    sets = DisjointSets()
    for number in range(policy.bands):
        values = band(number)[distinct]
        by_value = np.argsort(values, kind="stable")
        sorted_values = values[by_value]
        same = np.flatnonzero(sorted_values[1:] == sorted_values[:-1]) + 1
        if not len(same):
            continue
        heads = np.flatnonzero(np.diff(sorted_values, prepend=~sorted_values[:1]))
        leader = heads[np.searchsorted(heads, same, side="right") - 1]
        for before in (leader, same - 1):
            pairs = [
                (one, other)
                for one, other in zip(
                    distinct[by_value[same]].tolist(),
                    distinct[by_value[before]].tolist(),
                    strict=True,
                )
                if sets.find(one) != sets.find(other)
            ]
            if not pairs:
                continue
            ones, others = np.array(pairs, dtype=np.int64).T
            for (one, other), alike in zip(pairs, similar(ones, others).tolist(), strict=True):
                if alike:
                    sets.union(one, other)
    cluster = exact.copy()
    for position in distinct.tolist():
        root = sets.find(position)
        if root != position:
            cluster[position] = root
    cluster = cluster[exact]
    return exact, cluster


class DisjointSets:
    """Union–find with path halving; holds only those that are linked. The smaller one stands."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def find(self, one: int) -> int:
        """Return the one that stands for the set of `one`."""
        above = self._above
        while (parent := above.get(one, one)) != one:
            above[one] = grandparent = above.get(parent, parent)
            one = grandparent
        return one

    def union(self, one: int, other: int) -> None:
        """Make one set of two."""
        a, b = self.find(one), self.find(other)
        if a != b:
            self._above[max(a, b)] = min(a, b)
