"""Import, store and index all posts; bare tantivy on the same tokens beside it.

python bench/importing.py [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import tantivy

from madang.home import Home
from madang.text import terms
from measuring import in_fresh_process, machine, post_files, rows, spread, table


def main() -> None:
    """Print the table, or one run for a parent process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--once", choices=["madang", "tantivy"])
    arguments = parser.parse_args()
    if arguments.once:
        run = _madang if arguments.once == "madang" else _tantivy
        print(json.dumps(run()))
        return
    posts = rows(post_files())
    results: dict[str, list[dict[str, float]]] = {"madang": [], "tantivy": []}
    for _ in range(arguments.runs):
        for name, kept in results.items():
            kept.append(json.loads(in_fresh_process(__file__, "--once", name)))
    print(f"{posts:,} posts; {machine(['tantivy', 'orjson', 'PyStemmer'])}\n")
    lines = []
    for name, what in (
        ("madang", "madang: read, store, index, commit"),
        ("tantivy", "bare tantivy: the same tokens, made before, add and commit"),
    ):
        runs = results[name]
        lines.append(
            (
                what,
                spread([posts / run["seconds"] for run in runs]),
                spread([run["peak_mb"] for run in runs]),
            )
        )
    print(table(("what", "posts/s", "peak memory, MB"), lines))


def _madang() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Home(folder) as home:
            for path in post_files():
                report = home.ingest(path)
                assert report.read == report.written + sum(report.skipped.values()) + report.edited
        return {"seconds": time.perf_counter() - started, "peak_mb": _peak_mb()}


def _tantivy() -> dict[str, float]:
    bodies = []
    with tempfile.TemporaryDirectory() as folder, Home(folder) as home:
        for path in post_files():
            home.ingest(path)
        after = 0
        while batch := home.log.scan(after, limit=10_000):
            bodies += [" ".join(terms(one.post.text)) for one in batch]
            after = batch[-1].key
    schema = (
        tantivy.SchemaBuilder()
        .add_unsigned_field("key", indexed=True, fast=True)
        .add_text_field("body", tokenizer_name="whitespace", index_option="freq")
        .build()
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "index").mkdir()
        started = time.perf_counter()
        index = tantivy.Index(schema, str(Path(folder, "index")))
        writer = index.writer(num_threads=1)
        for key, body in enumerate(bodies):
            document = tantivy.Document()
            document.add_unsigned("key", key)
            document.add_text("body", body)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        return {"seconds": time.perf_counter() - started, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    main()
