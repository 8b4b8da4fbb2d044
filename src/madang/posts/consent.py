"""What may be done with a post: grants, signals and refusals, by purpose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Purpose = Literal["search", "ground", "embed", "train", "ads", "export"]
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

# What an operator who brings a file has said by bringing it.
FILE_GRANT: Final[frozenset[Purpose]] = frozenset({"search", "ground", "embed"})
# What the owner of an archive has said of their own posts by importing it.
OWNER_GRANT: Final[frozenset[Purpose]] = FILE_GRANT | {"train"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a purpose is allowed, and the signal that decided."""

    purpose: Purpose
    allowed: bool
    because: str


def parse_purposes(text: str) -> frozenset[Purpose]:
    """Read `search,ground` as purposes. Raises ValueError naming the first unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PURPOSES:
            raise ValueError(f"{name!r} is not a purpose; the purposes are {', '.join(PURPOSES)}")
    return frozenset(names)  # type: ignore[arg-type]


def resolve(
    purpose: Purpose,
    *,
    granted: Iterable[str],
    basis: str,
    signals: Mapping[str, bool],
    refused: Mapping[str, bool],
    unlisted: bool,
    own: bool,
) -> Decision:
    """Decide one purpose for one post; the most restrictive signal wins.

    `granted` and `basis` come from the import, `signals` from the post itself, `refused` from
    the author's own word (purpose to false). Unlisted posts are never trained on or exported
    without their author's own grant, which an own archive (`own`) or a signal of the post gives.
    """
    if refused.get(purpose) is False:
        return Decision(purpose, False, "the author refused")
    signal = signals.get(purpose)
    if signal is False:
        return Decision(purpose, False, "the post or its author's profile says no")
    if unlisted and purpose in ("train", "export") and not (own or signal):
        return Decision(purpose, False, "the post is unlisted and its author did not grant it")
    if purpose in granted:
        return Decision(purpose, True, f"granted by the import ({basis})")
    if signal:
        return Decision(purpose, True, "the post or its author's profile says yes")
    return Decision(purpose, False, "nobody granted it")
