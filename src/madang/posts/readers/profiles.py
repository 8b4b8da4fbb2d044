"""What authors say in their profile about the use of their posts."""

from __future__ import annotations

import re
from typing import Final

_NO_AI: Final = re.compile(r"(?<!\w)#no[_-]?(?:ai|bots?)(?!\w)", re.IGNORECASE)


def profile_signals(bio: str) -> dict[str, bool]:
    """Return the signals of a profile's own words: `#noai` and `#nobot` refuse training.

    They are held to even where the owner imports their own archive: the most restrictive signal
    wins, and whoever means it otherwise can take the word out of the profile.
    """
    return {"train": False} if _NO_AI.search(bio) else {}
