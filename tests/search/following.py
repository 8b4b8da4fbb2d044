"""A process that applies, purges and rebuilds until it is killed: `python following.py FOLDER`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from madang.posts import PostLog
from madang.search import LexicalIndex, lexical, searching, state


def main(folder: Path) -> None:
    # Small shards and batches, so that a kill falls between all steps there are.
    lexical.SHARD_SIZE = searching.SHARD_SIZE = state.SHARD_SIZE = 100
    lexical._POSTS_PER_COMMIT = 150
    lexical._EVENTS_AT_ONCE = 70
    lexical._POSTS_AT_ONCE = 60
    with PostLog(folder / "posts.db") as log, LexicalIndex(folder / "index", log) as index:
        print("open", flush=True)

        def clean() -> None:
            while True:
                index.purge()
                index.rebuild()

        threading.Thread(target=clean, daemon=True).start()
        while True:
            index.follow()


main(Path(sys.argv[1]))
