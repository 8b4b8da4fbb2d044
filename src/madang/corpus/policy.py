"""The policy: by which rules posts are chosen for training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

import orjson

RULES: Final = 1
"""Changes whenever the code decides otherwise on some post under the same policy."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How posts are chosen. Everything that a corpus depends on, beside the posts, is in here.

    `future_share` is the share of the dated posts, the newest ones, that is kept for evaluation.
    Two posts are near duplicates where the Jaccard similarity of their sets of `shingle`
    characters is at least `similarity`; candidates share one of `bands` groups of `band_rows`
    MinHash values. A line is boilerplate where at least `repeated_line` posts have it.
    `languages` are the ones to keep (`ko`, `en`), all of them where it is empty.
    """

    future_share: float = 0.02
    shingle: int = 5
    similarity: float = 0.8
    bands: int = 16
    band_rows: int = 5
    repeated_line: int = 20
    languages: tuple[str, ...] = ()
    rules: int = RULES

    def __post_init__(self) -> None:
        if not 0 <= self.future_share < 1:
            raise ValueError(f"future_share is {self.future_share}; it must lie in [0, 1)")
        if not 0 < self.similarity <= 1:
            raise ValueError(f"similarity is {self.similarity}; it must lie in (0, 1]")
        for name in ("shingle", "bands", "band_rows", "repeated_line"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        object.__setattr__(self, "languages", tuple(sorted(set(self.languages))))

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as JSON types."""
        return {**asdict(self), "languages": list(self.languages)}

    def to_json(self) -> bytes:
        """Return the canonical JSON, keys sorted; fingerprints are made of it."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote. Raises ValueError for a field that no policy has."""
        unknown = data.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a policy has no field {', '.join(sorted(unknown))}")
        return cls(**{**data, "languages": tuple(data.get("languages", ()))})
