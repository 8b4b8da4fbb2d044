"""Texts that say nothing: links alone, one character over and over, walls of hashtags."""

from __future__ import annotations

import re
from typing import Final

from madang.corpus.decision import Reason

_LINK_OR_MENTION: Final = re.compile(
    r"https?://\S+|www\.\S+|@(?<!\w@)\w[\w.@-]*|＠(?<!\w＠)\w[\w.@-]*", re.IGNORECASE
)
# A word by itself, which is neither.
_PLAIN_WORD: Final = re.compile(r"(?<!\S)[^\W\d_]{2,}(?!\S)")
_HASHTAG: Final = re.compile(r"[#＃]\w+")
# What is no sign of its own: spaces, and what only changes the emoji before it (joiners,
# variation selectors, skin tones, the keycap frame).
_UNSEEN: Final = re.compile("[\\s\u200b-\u200f\u2060\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\u20e3]+")

FEWEST_HASHTAGS: Final = 5
HASHTAG_SHARE: Final = 0.8
"""A wall has at least this share of its visible characters in hashtags."""


def spam(text: str) -> Reason:
    """Return the reasons for which a text has nothing to learn from.

    >>> spam("https://town.example/1")
    <Reason.LINKS_ONLY: 16>
    """
    marks = text.count("#") + text.count("＃")
    # Most texts: letters enough, a word among them, few hashtags.
    if marks < FEWEST_HASHTAGS and len(set(text[:64])) > 12 and _PLAIN_WORD.search(text):
        return Reason(0)
    seen = _UNSEEN.sub("", text)
    if not seen:
        return Reason.EMPTY
    if len(set(seen)) == 1:
        return Reason.REPEATED_CHARACTER
    reasons = Reason(0)
    visible = len(_UNSEEN.sub("", _LINK_OR_MENTION.sub(" ", text)))
    if not visible:
        reasons |= Reason.LINKS_ONLY
    tags = _HASHTAG.findall(text)
    if len(tags) >= FEWEST_HASHTAGS and sum(map(len, tags)) >= HASHTAG_SHARE * visible:
        reasons |= Reason.HASHTAGS
    return reasons
