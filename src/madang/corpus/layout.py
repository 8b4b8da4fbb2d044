"""Which posts make which documents, in which order: arithmetic on columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from madang.corpus.decision import Reason
from madang.corpus.examine import UNDATED
from madang.corpus.near_duplicates import Hashes, Positions
from madang.corpus.split import cut_off, future_documents
from madang.corpus.threads import thread_order

Reasons = npt.NDArray[np.uint16]
Times = npt.NDArray[np.int64]
NOT_FOR_TRAINING: Final = int(Reason.NO_CONSENT | Reason.HIDDEN)


@dataclass(frozen=True, slots=True)
class Columns:
    """What is held of every post: about 60 bytes each. All arrays are as long as there are posts.

    `reasons` is written to as decisions are made; it is what the layout is about.
    """

    id_hash: Hashes
    parent_hash: Hashes
    thread_hash: Hashes
    time: Times
    reasons: Reasons

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which posts are kept so far."""
        kept: npt.NDArray[np.bool_] = self.reasons == 0
        return kept

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """Which posts may be trained on, kept or not."""
        used: npt.NDArray[np.bool_] = (self.reasons & NOT_FOR_TRAINING) == 0
        return used


@dataclass(frozen=True, slots=True)
class Layout:
    """Documents as positions of posts: document d is `posts[starts[d]:starts[d + 1]]`."""

    posts: Positions
    depths: npt.NDArray[np.int32]
    starts: Positions
    future: npt.NDArray[np.bool_]
    cut_off: int | None


def choose_copies(columns: Columns, exact: Positions, cluster: Positions) -> Positions:
    """Keep one post of each cluster, refuse the others, and return for each what stays for it.

    The most answered copy stays, of equally answered ones the newest, then the one whose id has
    the lowest hash. -1 stands where a post is no duplicate.
    """
    stays = np.full(len(cluster), -1, dtype=np.int64)
    linked = np.flatnonzero(np.bincount(cluster, minlength=len(cluster)) > 1)
    members = np.flatnonzero(np.isin(cluster, linked) & columns.kept)
    if not len(members):
        return stays
    answering = columns.parent_hash[columns.used]
    parents, counts = np.unique(answering[answering != 0], return_counts=True)
    place = np.searchsorted(parents, columns.id_hash[members])
    place[place == len(parents)] = 0
    replies = np.zeros(len(members), dtype=np.int64)
    if len(parents):
        known = parents[place] == columns.id_hash[members]
        replies[known] = counts[place][known]
    order = np.lexsort(
        (
            columns.id_hash[members],
            -columns.time[members].astype(np.float64),
            -replies,
            cluster[members],
        )
    )
    members = members[order]
    first = np.flatnonzero(np.diff(cluster[members], prepend=-1))
    chosen = np.repeat(members[first], np.diff(first, append=len(members)))
    others = members != chosen
    members, chosen = members[others], chosen[others]
    stays[members] = chosen
    equal = exact[members] == exact[chosen]
    columns.reasons[members[equal]] |= np.uint16(Reason.DUPLICATE)
    columns.reasons[members[~equal]] |= np.uint16(Reason.NEAR_DUPLICATE)
    return stays


def lay_out(columns: Columns, future_share: float) -> Layout:
    """Order the kept posts into documents and split them by time.

    A document is future where all its posts are dated and at or after the cut-off. A post at or
    after the cut-off in any other document is refused (HELD_BACK): it may be neither trained on,
    for then the future would be known, nor evaluated, for the document is in training.
    """
    posts, depths, starts = _in_threads(columns)
    if not len(posts):
        return Layout(posts, depths, starts, np.zeros(0, dtype=np.bool_), None)
    times = columns.time[posts]
    cut = cut_off(times, future_share)
    future = future_documents(times, starts, cut)
    if cut is None:
        return Layout(posts, depths, starts, future, None)
    document = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(posts)))
    late = (times >= cut) & ~future[document]
    columns.reasons[posts[late]] |= np.uint16(Reason.HELD_BACK)
    document = document[~late]
    starts = np.flatnonzero(np.diff(document, prepend=-1))
    return Layout(posts[~late], depths[~late], starts, future[document[starts]], cut)


def _in_threads(columns: Columns) -> tuple[Positions, npt.NDArray[np.int32], Positions]:
    """Return the kept posts in reading order, their depths, and where each document begins.

    A refused post may not be looked at; one that is left out for another reason still holds its
    replies together.
    """
    usable = np.flatnonzero(columns.used)
    by_thread = usable[np.argsort(columns.thread_hash[usable], kind="stable")]
    hashes = columns.thread_hash[by_thread]
    starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1]))[: len(hashes)])
    sizes = np.diff(starts, append=len(by_thread))
    ordered = by_thread.copy()
    depths = np.ones(len(by_thread), dtype=np.int32)
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        members = by_thread[start : start + size]
        placed = thread_order(
            columns.id_hash[members].tolist(),
            columns.parent_hash[members].tolist(),
            [None if one == UNDATED else one for one in columns.time[members].tolist()],
        )
        ordered[start : start + size] = members[[one.post for one in placed]]
        depths[start : start + size] = [one.depth for one in placed]
    thread = np.repeat(np.arange(len(starts)), sizes)
    kept = columns.kept[ordered]
    ordered, depths, thread = ordered[kept], depths[kept], thread[kept]
    starts = np.flatnonzero(np.diff(thread, prepend=-1))
    return _by_first_post(ordered, depths, starts)


def _by_first_post(
    posts: Positions, depths: npt.NDArray[np.int32], starts: Positions
) -> tuple[Positions, npt.NDArray[np.int32], Positions]:
    """Put documents into the order of their earliest position, which reads the disk in order."""
    if not len(posts):
        return posts, depths, starts
    sizes = np.diff(starts, append=len(posts))
    order = np.argsort(np.minimum.reduceat(posts, starts), kind="stable")
    sizes, begins = sizes[order], starts[order]
    new_starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    index: npt.NDArray[Any] = np.arange(len(posts)) + np.repeat(begins - new_starts, sizes)
    return posts[index], depths[index], new_starts
