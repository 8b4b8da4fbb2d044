"""Run the benchmarks of answering and write their sections of bench/RESULTS.md.

    make bench

Sections of other benchmarks are kept as they are (run_training.py takes those of training), and
what stands below the line `<!-- by hand -->` is kept: what was tried, and why a figure falls short.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence, Set

from measuring import ROOT, SHARED

RESULTS = ROOT / "bench" / "RESULTS.md"
BY_HAND = "<!-- by hand -->"

_HELD = ("--questions", "samples/town/questions-held.jsonl", "--posts", "samples/town/posts.jsonl")
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Import, store and index", ("importing.py",)),
    ("Search: speed", ("search_speed.py",)),
    ("Search: recall", ("search_recall.py",)),
    ("From a write to a hit, from a deletion to nothing", ("freshness.py",)),
    ("Asking: time to sources and to the first quoted sentence", ("asking.py",)),
    (
        "Answers: the sample's questions that were set aside, quotes alone",
        ("answers.py", *_HELD),
    ),
    (
        "Answers: the same with the default model",
        ("answers.py", *_HELD, "--engine", "default"),
    ),
    ("Answers: real questions, half with their post withheld", ("answers_baseline.py",)),
    ("Memory of the server with the embedded model", ("serving_memory.py",)),
)


def main() -> None:
    """Run all, or the scripts that are named."""
    take(SECTIONS, set(sys.argv[1:]))


def take(
    commands: Sequence[tuple[str, tuple[str, ...]]],
    chosen: Set[str],
    python: str = sys.executable,
) -> None:
    """Run the commands whose script is chosen (all, where none is), each under its title.

    A section is written as soon as it is taken; the others are kept as they are.
    """
    sections, by_hand = _before()
    for title, _ in commands:
        sections.setdefault(title, "not run")
    for title, command in commands:
        if not chosen or command[0] in chosen:
            print(f"{title} …", file=sys.stderr, flush=True)
            sections[title] = _run(command, python)
            _write(sections, by_hand)


def _write(sections: dict[str, str], by_hand: str) -> None:
    parts = [
        "# Results\n\nTaken by `make bench` and `make bench-train`; each table names its command. "
        "The machine is shared and noisy: compare figures of one table, which were taken side by "
        "side, and read the spread.\n"
    ]
    if not SHARED.exists():
        parts.append("The real posts were absent: every figure here is of the sample.\n")
    parts += [f"## {title}\n\n{body}\n" for title, body in sections.items()]
    RESULTS.write_text("\n".join(parts) + f"\n{BY_HAND}\n{by_hand}", "utf-8")


def _run(command: tuple[str, ...], python: str) -> str:
    script = ROOT / "bench" / command[0]
    done = subprocess.run(
        [python, str(script), *command[1:]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with status {done.returncode}")
    return f"`python bench/{' '.join(command)}`\n\n{done.stdout.strip()}"


def _before() -> tuple[dict[str, str], str]:
    """Return the sections of the last results by title, and what was written by hand."""
    if not RESULTS.exists():
        return {}, ""
    text, _, by_hand = RESULTS.read_text("utf-8").partition(f"{BY_HAND}\n")
    sections = (part.partition("\n") for part in text.split("\n## ")[1:])
    return {title: body.strip("\n") for title, _, body in sections}, by_hand


if __name__ == "__main__":
    main()
