"""The split by time: which documents are from the future of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from madang.corpus.examine import UNDATED


def cut_off(times: npt.NDArray[np.int64], share: float) -> int | None:
    """Return the earliest moment after which at most `share` of the dated posts were written.

    A post of that very moment belongs to the future. None where no moment is late enough: posts
    too few, or all of one moment.
    """
    dated = np.sort(times[times != UNDATED])
    allowed = int(len(dated) * share)
    if allowed == 0:
        return None
    moment = dated[len(dated) - allowed]
    if dated[len(dated) - allowed - 1] == moment:
        later = int(np.searchsorted(dated, moment, side="right"))
        if later == len(dated):
            return None
        moment = dated[later]
    return int(moment)


def future_documents(
    times: npt.NDArray[np.int64], starts: npt.NDArray[Any], cut: int | None
) -> npt.NDArray[np.bool_]:
    """Return which documents are future: every post is dated and none is older than the cut.

    `times` are the posts' times, document after document, and `starts` where each begins.
    """
    if cut is None:
        return np.zeros(len(starts), dtype=np.bool_)
    # UNDATED is less than any moment.
    oldest: npt.NDArray[np.int64] = np.minimum.reduceat(times, starts)
    return oldest >= cut
