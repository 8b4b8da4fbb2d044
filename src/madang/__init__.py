"""Madang turns a community's posts into a chat with checked citations.

>>> import madang
>>> with madang.Home("/tmp/somewhere") as home:       # doctest: +SKIP
...     home.ingest("outbox.json")
...     print(home.ask("When does the ferry leave?").text)
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madang.answer import Answer, Citation, Request, Sentence
    from madang.home import Home, IngestReport, Overview, SearchResult, StoppedError
    from madang.posts import Media, Post
    from madang.search import Filters, Hit

__version__ = version("madang")

__all__ = [
    "Answer",
    "Citation",
    "Filters",
    "Hit",
    "Home",
    "IngestReport",
    "Media",
    "Overview",
    "Post",
    "Request",
    "SearchResult",
    "Sentence",
    "StoppedError",
]

_ROOMS = {
    "madang.answer": ("Answer", "Citation", "Request", "Sentence"),
    "madang.home": ("Home", "IngestReport", "Overview", "SearchResult", "StoppedError"),
    "madang.posts": ("Media", "Post"),
    "madang.search": ("Filters", "Hit"),
}


def __getattr__(name: str) -> Any:
    # A room is imported when a name of it is asked for: `import madang.text` stays cheap, and a
    # room below never imports one above by way of this file.
    from importlib import import_module

    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(room), name)
    raise AttributeError(f"module 'madang' has no attribute {name!r}")
