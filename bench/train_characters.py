"""Tinyshakespeare, character by character, three minutes: nats a character on the last tenth.

    .venv-bench-train/bin/python bench/train_characters.py

The first nine tenths are trained on. The last tenth is read in windows that stand side by side,
each as long as those trained on, and every character counts.
"""

from __future__ import annotations

import argparse
import statistics

from measuring import machine, spread, table
from train_measuring import OURS, SHAKESPEARE, fresh, need, say, verdict


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--given", default="{}", help="fields of our plan set by hand, JSON")
    chosen = parser.parse_args()
    need(SHAKESPEARE)
    runs = []
    for seed in range(chosen.seeds):
        asked = (f"--minutes={chosen.minutes:g}", f"--seed={seed}", f"--given={chosen.given}")
        runs.append(fresh(OURS, "train_ours_scratch.py", "characters", *asked))
        say(f"characters {seed + 1}/{chosen.seeds}", runs[-1])
    nats = [run["nats"] for run in runs]
    line = [
        runs[0]["shape"],
        spread(nats, 3),
        "below 1.80",
        verdict(statistics.median(nats), 1.80, below=True),
        spread([run["seconds"] for run in runs], 1),
        spread([run["peak_memory"] / 1e9 for run in runs], 2),
    ]
    header = ["shape", "nats a character", "asked", "", "seconds", "peak memory, GB"]
    print(f"{chosen.minutes:g} minutes; {machine(('torch',))}\n\n{table(header, [line])}")


if __name__ == "__main__":
    main()
