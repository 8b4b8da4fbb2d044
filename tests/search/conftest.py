from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from madang.posts import FILE_GRANT, Grant, Post, PostLog, Write
from madang.search import LexicalIndex

# Machines that are shared are slow at times; speed is what benchmarks measure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PostLog]:
    with PostLog(tmp_path / "posts.db") as log:
        yield log


@pytest.fixture
def index(tmp_path: Path, log: PostLog) -> Iterator[LexicalIndex]:
    with LexicalIndex(tmp_path / "index", log) as index:
        yield index


@pytest.fixture
def write(log: PostLog) -> Callable[..., None]:
    """Append posts: `write(a="text", b=dict(text=…, author=…))`, ids `t:a`, `t:b`."""
    grant = log.grant(Grant("operator", "a test", FILE_GRANT))

    def append(**posts: str | dict[str, Any]) -> None:
        fields = {n: {"text": p} if isinstance(p, str) else p for n, p in posts.items()}
        log.append(
            [
                Write(Post(**{"id": f"t:{name}", "source": "t", **given}), grant)
                for name, given in fields.items()
            ]
        )

    return append
