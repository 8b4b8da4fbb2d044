"""Curate the real posts; datatrove's MinHash pipeline over the same posts beside it.

python bench/curation.py [--runs 5] [--workers 2] [--every 1] [--peer .venv-bench-train/bin/python]

Ours decides consent, language, spam, boilerplate and duplicates, redacts personal data, rebuilds
threads, splits by time and writes; the peer looks for near duplicates and writes. Its own
environment needs `datatrove[io,processing]`, `spacy` and `xxhash<4`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from madang.corpus import curate
from madang.corpus.near_duplicates import comparable_texts
from madang.home import Home
from madang.posts import PostLog
from measuring import ROOT, in_fresh_process, machine, post_files, spread, table

SHORT = 20
"""Code points; such a text has no five words, or hardly any."""


def main() -> None:
    """Print the table, or one run for a parent process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peer", type=Path, default=ROOT / ".venv-bench-train" / "bin" / "python")
    parser.add_argument("--every", type=int, default=1, help="take one post in this many")
    parser.add_argument("--once", type=Path)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(_ours(arguments.once, arguments.workers)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = _prepare(folder, arguments.workers, arguments.every)
        ours: list[dict[str, Any]] = []
        peers: list[dict[str, Any]] = []
        for run in range(arguments.runs):
            # Taken in turns, so that both meet the same disturbances.
            pair = [
                lambda: ours.append(_in_process(folder, arguments.workers)),
                lambda run=run: peers.append(_peer(folder, run, arguments)),
            ]
            for take in pair if run % 2 else reversed(pair):
                take()
            print(
                f"{run + 1}: {ours[-1]['seconds']:.1f} s, {peers[-1]['seconds']:.1f} s",
                file=sys.stderr,
            )
    _report(texts, ours, peers, arguments)


def _prepare(folder: Path, workers: int, every: int) -> dict[str, str]:
    """Store the posts in a home, write them out for the peer, and return their texts by id."""
    texts: dict[str, str] = {}
    with Home(folder / "home") as home:
        for number, path in enumerate(post_files()):
            part = folder / f"{number}.jsonl"
            with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
                part.write_bytes(b"".join(islice(file, 0, None, every)))
            home.ingest(part, grant="search,ground,embed,train", basis="benchmark")
        after = 0
        while batch := home.log.scan(after, limit=10_000):
            texts |= {one.post.id: one.post.text for one in batch}
            after = batch[-1].key
    (folder / "posts").mkdir()
    lines = [
        json.dumps({"id": post, "text": text}, ensure_ascii=False) for post, text in texts.items()
    ]
    bounds = [len(lines) * part // workers for part in range(workers + 1)]
    for part, (start, end) in enumerate(pairwise(bounds)):
        (folder / "posts" / f"{part:02}.jsonl").write_text("\n".join(lines[start:end]), "utf-8")
    return texts


def _in_process(folder: Path, workers: int) -> dict[str, Any]:
    output = in_fresh_process(__file__, "--once", str(folder), "--workers", str(workers))
    result: dict[str, Any] = json.loads(output)
    return result


def _ours(folder: Path, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as corpora, PostLog(folder / "home" / "posts.db") as log:
        started = time.perf_counter()
        curated = curate(log, Path(corpora), workers=workers)
        seconds = time.perf_counter() - started
        copies = {
            one.post: "near" if "near duplicate" in one.reasons else "equal"
            for one in curated.decisions()
            if one.duplicate_of
        }
    return {"seconds": seconds, "copies": copies}


def _peer(folder: Path, run: int, arguments: argparse.Namespace) -> dict[str, Any]:
    done = subprocess.run(
        [
            str(arguments.peer),
            str(Path(__file__).with_name("curation_peer.py")),
            str(folder / "posts"),
            str(folder / f"peer-{run}"),
            str(arguments.workers),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _report(
    texts: dict[str, str],
    ours: list[dict[str, Any]],
    peers: list[dict[str, Any]],
    arguments: argparse.Namespace,
) -> None:
    compared = dict(zip(texts, comparable_texts(list(texts.values())), strict=True))
    copies = ours[0]["copies"]
    removed = texts.keys() - set(peers[0]["kept"])
    short = {post for post in copies if len(compared[post]) < SHORT}
    print(
        f"{len(texts):,} posts, {arguments.workers} workers; "
        f"{machine(['rensa', 'pyarrow', 'numpy'])}, datatrove {peers[0]['version']}\n"
    )
    lines = [
        (
            "madang: every decision, personal data, threads, split, files",
            spread([len(texts) / one["seconds"] for one in ours]),
            f"{len(copies):,}",
            f"{len(short):,}",
        ),
        (
            "datatrove: MinHash with its defaults (words), files",
            spread([len(texts) / one["seconds"] for one in peers]),
            f"{len(removed):,}",
            f"{len(short & removed):,}",
        ),
    ]
    header = ("what", "posts/s", "copies found", f"of our copies below {SHORT} characters")
    print(table(header, lines))
    ratios = [peer["seconds"] / own["seconds"] for own, peer in zip(ours, peers, strict=True)]
    missed = [post for post in copies if post not in removed]
    alone = [post for post in removed if post not in copies]
    print(
        f"\nRatio of the two, run by run: {spread(ratios, 2)}. "
        f"Found by us alone: {len(missed):,}, "
        f"{sum(copies[post] == 'equal' for post in missed):,} of them equal once case, marks, "
        f"links and mentions are left out; by the peer alone: {len(alone):,}."
    )


if __name__ == "__main__":
    main()
