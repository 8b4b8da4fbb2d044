"""The command as people call it, in homes that are made for a benchmark."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from train_measuring import ENGLISH, OURS, WORK, fresh, last_object


def english_home() -> Path:
    """Return a home with all English posts, consent to train given, curated already."""
    home = WORK / "home-en"
    if not (home / "complete").exists():
        fresh(OURS, "train_ours_scratch.py", "curate", str(ENGLISH), str(home))
        (home / "complete").touch()
    return home


def fresh_home(name: str, *, curated: bool = False) -> Path:
    """Return a home with the same posts, from which nothing has been made, or only the corpus."""
    source = english_home()
    home = WORK / f"home-{name}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for path in source.glob("posts.db*"):
        shutil.copy2(path, home)
    if curated:
        leave_out = shutil.ignore_patterns("tokens-*")
        shutil.copytree(source / "corpus", home / "corpus", ignore=leave_out)
    return home


def tokens_folder(home: Path, fingerprint: str) -> Path:
    """Return the folder of the token shards that a plan names."""
    for path in (home / "corpus").glob("*/tokens-*/manifest.json"):
        if json.loads(path.read_text("utf-8"))["fingerprint"] == fingerprint:
            return path.parent
    raise SystemExit(f"{home} holds no corpus {fingerprint}")


def madang_train(home: Path, *options: str) -> dict[str, Any]:
    """Run `madang train --json`; return the object it ends with."""
    madang = str(OURS.with_name("madang"))
    words = [madang, "train", "--json", "--home", str(home.absolute()), *options]
    return last_object(words, WORK / "madang-train.log")
