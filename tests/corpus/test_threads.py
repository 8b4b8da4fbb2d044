"""The order of posts in a thread."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from madang.corpus.threads import thread_order


def test_a_reply_stands_after_its_parent_and_before_the_next_reply() -> None:
    ids = [1, 2, 3, 4, 5]
    parents = [0, 1, 1, 2, 99]
    times = [10, 30, 20, 40, 5]
    assert [(ids[one.post], one.depth) for one in thread_order(ids, parents, times)] == [
        (5, 1),  # its parent is not here
        (1, 1),
        (3, 2),
        (2, 2),
        (4, 3),
    ]


def test_undated_ones_stand_last_among_their_like() -> None:
    placed = thread_order([1, 2, 3], [0, 1, 1], [10, None, 20])
    assert [one.post for one in placed] == [0, 2, 1]


def test_a_circle_begins_at_its_oldest() -> None:
    placed = thread_order([1, 2, 3, 4], [3, 1, 2, 4], [30, 10, 20, 40])
    assert [one.post for one in placed] == [1, 2, 0, 3]
    assert [one.depth for one in placed] == [1, 2, 3, 1]


def test_a_very_deep_thread() -> None:
    n = 50_000
    placed = thread_order(range(1, n + 1), range(n), range(n))
    assert placed[-1] == (n - 1, n)


TREES = st.lists(
    st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 5))), min_size=1, max_size=12
)


@given(TREES, st.randoms(use_true_random=False))
def test_order_is_whole_and_independent_of_how_posts_came(
    tree: list[tuple[int, int | None]], rng: random.Random
) -> None:
    posts = [(number + 1, parent, time) for number, (parent, time) in enumerate(tree)]

    def order(given: list[tuple[int, int, int | None]]) -> list[tuple[int, int]]:
        placed = thread_order(*zip(*given, strict=True))
        return [(given[one.post][0], one.depth) for one in placed]

    first = order(posts)
    assert sorted(one for one, _ in first) == [one for one, _, _ in posts]
    shuffled = posts[:]
    rng.shuffle(shuffled)
    assert order(shuffled) == first
    # A reply comes after its parent, one deeper, unless it begins its thread anew.
    depth_of, place = dict(first), {one: n for n, (one, _) in enumerate(first)}
    for one, parent, _ in posts:
        if depth_of[one] > 1:
            assert place[parent] < place[one]
            assert depth_of[one] == depth_of[parent] + 1
