"""What every benchmark shares: the posts, the machine, and how figures are written down."""

from __future__ import annotations

import gzip
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
SAMPLE = ROOT / "samples" / "town"


def post_files() -> list[Path]:
    """Return the real posts where they are present, else the sample."""
    real = [SHARED / "posts" / "en.jsonl.gz", SHARED / "posts" / "ko.jsonl.gz"]
    return real if all(path.exists() for path in real) else [SAMPLE / "posts.jsonl"]


def rows(paths: Iterable[Path]) -> int:
    """Count the lines of plain and gzipped files."""
    total = 0
    for path in paths:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            total += sum(1 for _ in file)
    return total


def machine(packages: Sequence[str]) -> str:
    """Describe where figures were taken, without naming the machine."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"{versions}"
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Write runs as their median and range."""
    middle = statistics.median(values)
    low, high = min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f}, n={len(values)})"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    out = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    out += ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join(out)


def in_fresh_process(script: str, *arguments: str) -> str:
    """Run a part of a benchmark by itself, so that its memory and caches are its own."""
    done = subprocess.run(
        [sys.executable, script, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout
