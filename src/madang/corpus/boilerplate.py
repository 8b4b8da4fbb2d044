"""Boilerplate: lines that many posts share, such as a robot's footer."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from madang.corpus.examine import line_hash
from madang.corpus.policy import Policy
from madang.corpus.spill import Spill

# In a large community, more people write the same sentence: one post in this many.
_ONE_IN: Final = 10_000


def repeated_lines(spill: Spill, kept: npt.NDArray[np.bool_], policy: Policy) -> set[int]:
    """Return the hashes of lines that stand in too many kept posts.

    Only posts of several lines count: equal posts of one line are duplicates. Holds 8 bytes for
    each such line.
    """
    found = []
    for start, batch in spill.batches():
        lines = batch.column("lines")
        of = lines.filter(pa.array(kept[start : start + len(batch)])).flatten()
        if len(of):
            found.append(of.to_numpy())
    if not found:
        return set()
    values, counts = np.unique(np.concatenate(found), return_counts=True)
    enough = max(policy.repeated_line, int(np.count_nonzero(kept)) // _ONE_IN)
    return set(values[counts >= enough].tolist())


def posts_with_lines(spill: Spill, repeated: set[int]) -> list[int]:
    """Return the positions of the posts that have one of these lines."""
    if not repeated:
        return []
    sought = np.fromiter(repeated, dtype=np.uint64)
    found: list[int] = []
    for start, batch in spill.batches():
        lines = batch.column("lines")
        hits = np.isin(lines.flatten().to_numpy(), sought)
        if hits.any():
            rows = np.flatnonzero(hits)
            parents = pc.list_parent_indices(lines).to_numpy()
            found += (start + np.unique(parents[rows])).tolist()
    return found


def without_lines(text: str, repeated: set[int]) -> str:
    """Return a text without these lines."""
    lines = [line for line in text.split("\n") if line_hash(line) not in repeated]
    return "\n".join(lines).strip()
