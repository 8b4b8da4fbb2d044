"""The sample community: what a home is shown with before it holds posts of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import orjson

import madang
from madang.home.home import Home
from madang.posts import Delete
from madang.posts.ingest import IngestReport

_BASIS: Final = "written for this project as its sample, under Apache-2.0"


def sample_folder() -> Path:
    """Return the folder of the sample, in an installed package or a checkout."""
    package = Path(madang.__file__).parent
    installed = package / "samples" / "town"
    return installed if installed.is_dir() else package.parents[1] / "samples" / "town"


def ingest_sample(home: Home) -> IngestReport:
    """Read the sample into a home."""
    folder = sample_folder()
    report = home.ingest(
        folder / "posts.jsonl", grant="search,ground,embed,train,export", basis=_BASIS
    )
    shutil.copyfile(folder / "examples.json", home.folder.examples)
    return report


def remove_sample(home: Home) -> int:
    """Erase the sample from a home; returns how many posts went."""
    if not home.folder.examples.exists():
        return 0
    rows = (sample_folder() / "posts.jsonl").read_bytes().splitlines()
    ids = list(dict.fromkeys(orjson.loads(row)["id"] for row in rows))
    removed = home.erase([Delete(post) for post in home.log.find(ids)])
    home.folder.examples.unlink()
    return removed
