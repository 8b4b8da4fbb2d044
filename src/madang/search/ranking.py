"""The score of a post for a query: BM25 and a bonus for words that stand together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

# Chosen on one half of two question sets, English and Korean, and kept on the other half
# (bench/search_recall.py). Posts are short, so a second mention says less than BM25's usual 1.2
# allows it to.
SATURATION: Final = 0.9
LENGTH_WEIGHT: Final = 0.75
ADJACENCY_WEIGHT: Final = 0.5


def inverse_document_frequency(documents: int, containing: int) -> float:
    """Return Lucene's idf, which is never negative."""
    containing = min(containing, documents)
    return math.log(1 + (documents - containing + 0.5) / (containing + 0.5))


class Scorer:
    """Scores posts for one query by statistics of the whole index.

    BM25 (Robertson and Zaragoza 2009) over the query's terms, and for each pair of neighbours in
    the question that are neighbours in the post too, a share of their weights (the sequential
    dependence of Metzler and Croft 2005, without its windows).
    """

    def __init__(
        self, weights: Mapping[str, float], asked: Sequence[str], mean_length: float
    ) -> None:
        """Take the idf of each query term, all terms of the question in order, and the mean length.

        Length is counted in terms.
        """
        self._weights = weights
        self._mean_length = max(mean_length, 1.0)
        self._pairs = {
            (a, b): ADJACENCY_WEIGHT * (weights.get(a, 0.0) + weights.get(b, 0.0)) / 2
            for a, b in pairwise(asked)
            if a in weights or b in weights
        }

    def score(self, terms: Sequence[str]) -> float:
        """Return the score of a post by its terms in order."""
        counts = Counter(terms)
        length = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(terms) / self._mean_length
        damping = SATURATION * length
        score = 0.0
        for term, weight in self._weights.items():
            count = counts.get(term)
            if count:
                score += weight * count * (SATURATION + 1) / (count + damping)
        if self._pairs:
            for pair in self._pairs.keys() & set(pairwise(terms)):
                score += self._pairs[pair]
        return score
