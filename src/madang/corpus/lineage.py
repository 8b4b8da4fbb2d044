"""Lineage: which posts a step saw, and which steps saw a post.

A step sees a token where it reads it or learns to predict it. The token after a row's end is only
predicted there and read in the next row, so it is seen in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madang.corpus.batches import Batches


@dataclass(frozen=True, slots=True)
class PostPart:
    """The tokens of a post that a row of a step's batch sees.

    They are the tokens `start` to `end` of the document; the first stands at `column`, which is
    the row's length where it is only the last target.
    """

    post: str
    document: str
    replay: bool
    start: int
    end: int
    row: int
    column: int


def posts_of_step(batches: Batches, step: int) -> list[PostPart]:
    """Return the posts that a step sees, row by row. Raises ValueError for a negative step."""
    found = []
    for part in batches.documents_of(step):
        corpus = batches.replay if part.replay else batches.corpus
        assert corpus is not None
        seen_end = min(part.end + 1, int(corpus.token_counts[part.index]))
        for span in corpus.posts_of(part.index):
            start, end = max(span.start, part.start), min(span.end, seen_end)
            if start < end:
                found.append(
                    PostPart(
                        post=span.post,
                        document=part.document,
                        replay=part.replay,
                        start=start,
                        end=end,
                        row=part.row,
                        column=part.column + start - part.start,
                    )
                )
    return found


def steps_of_post(batches: Batches, post: str, upto_step: int) -> list[int]:
    """Return the steps below `upto_step` that see a post, over all epochs, in order.

    None sees a post that is not in the corpus or is kept for evaluation.
    """
    steps: set[int] = set()
    for replay, corpus in ((False, batches.corpus), (True, batches.replay)):
        place = None if corpus is None else corpus.find_post(post)
        if corpus is None or place is None:
            continue
        index, span = place
        if span.start == span.end:
            continue
        size, stop = batches.tokens_a_step, upto_step * batches.tokens_a_step
        number = 0
        while (epoch := batches.epoch(number)).start < stop:
            number += 1
            for at in np.flatnonzero((epoch.index == index) & (epoch.replay == replay)):
                begin = epoch.start + int(epoch.ends[at]) - int(corpus.token_counts[index])
                first, last = begin + max(span.start - 1, 0), begin + span.end - 1
                steps.update(range(first // size, min(last // size + 1, upto_step)))
    return sorted(steps)
