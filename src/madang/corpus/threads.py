"""Threads: in which order the posts of a conversation stand in a document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Placed(NamedTuple):
    """A post in its thread, by its place among those given.

    `depth` is how deep in replies it stands: 1 without a parent, 2 for a reply to such a post.
    """

    post: int
    depth: int


def thread_order(
    ids: Sequence[int], parents: Sequence[int], times: Sequence[int | None]
) -> list[Placed]:
    """Return the posts of one thread in reading order.

    A reply stands after its parent and before the parent's next reply; replies to one post, and
    posts whose parent is not there, stand by time, undated ones last, then by id. `ids` and
    `parents` name posts by any integers; what replies to itself, directly or around a circle,
    begins anew at the oldest of the circle.
    """
    index_of = {one: index for index, one in enumerate(ids)}
    children: defaultdict[int, list[int]] = defaultdict(list)
    roots: list[int] = []
    above = [index_of.get(parent, -1) for parent in parents]

    def age(index: int) -> tuple[bool, int, int]:
        time = times[index]
        return time is None, time or 0, ids[index]

    for circle in _circles(above):
        above[min(circle, key=age)] = -1
    for index, parent in enumerate(above):
        (roots if parent < 0 else children[parent]).append(index)
    placed: list[Placed] = []
    stack = [Placed(index, 1) for index in sorted(roots, key=age, reverse=True)]
    while stack:
        at = stack.pop()
        placed.append(at)
        replies = sorted(children[at.post], key=age, reverse=True)
        stack += [Placed(reply, at.depth + 1) for reply in replies]
    return placed


def _circles(above: Sequence[int]) -> Iterator[list[int]]:
    """Yield each circle of a graph in which every node points to one other at most."""
    seen: dict[int, int] = {}
    for start in range(len(above)):
        path: list[int] = []
        node = start
        while node >= 0 and node not in seen:
            seen[node] = start
            path.append(node)
            node = above[node]
        if node >= 0 and seen[node] == start:
            yield path[path.index(node) :]
