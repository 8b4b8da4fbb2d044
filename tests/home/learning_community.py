"""A small community whose posts may be learned from, and the smallest training of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from madang.home import Home
from madang.posts import Grant, Post, Write

EVERYTHING: Final = frozenset({"search", "ground", "embed", "train"})
WORDS: Final = (
    *("ferry", "harbour", "lantern", "library", "bicycle", "market", "tide", "chowder", "cat"),
    *("mango", "pier", "gull", "등대", "여객선", "시장", "도서관", "축제", "고양이", "바다"),
    *("아침", "저녁", "시간표"),
)
TINY: Final[dict[str, Any]] = {
    "width": 64,
    "heads": 1,
    "key_value_heads": 1,
    "layers": 2,
    "hidden": 128,
    "vocabulary": 400,
    "rows": 4,
    "length": 64,
    "micro_rows": 4,
    "threads": 1,
    "compile": False,
}


def fill(home: Home, posts: int = 120) -> None:
    """Write posts that may be trained on, half of them answers, the newest on the last day."""
    grant = home.log.grant(Grant("operator", "written for this test", EVERYTHING))
    begin = datetime(2026, 10, 1, tzinfo=UTC)
    home.log.append(
        [
            Write(
                Post(
                    id=f"town:{number}",
                    source="town",
                    author=f"person{number % 7}",
                    text=_text(number),
                    created_at=begin + timedelta(hours=number),
                    reply_to=f"town:{number - 1}" if number % 2 else None,
                ).normalized(),
                grant,
            )
            for number in range(posts)
        ]
    )
    home.catch_up()


def _text(number: int) -> str:
    drawn = random.Random(number)
    words = " ".join(drawn.choice(WORDS) + drawn.choice(("", "s", " and", ",")) for _ in range(14))
    return f"{words} {drawn.randint(100, 999)}."


def opened(folder: Path) -> Home:
    """Open a home of this community that never loads a model by itself."""
    home = Home(folder, model="/there/is/no/such/model.gguf")
    fill(home)
    return home
