"""The dial: whether `madang train --minutes N` ends after N minutes.

    .venv-bench-train/bin/python bench/train_dial.py [--minutes 1 5 20]

What a person sees is timed: the whole command, from its start until it has left a release or said
that it does not, in a home with all English posts from which nothing was made yet. So curation,
tokenizer, plan, compilation, evaluation and release are all inside the minutes. With `--curated`
the posts were curated before, as in a home that has learned already.
"""

from __future__ import annotations

import argparse
import time

from measuring import machine, table
from train_measuring import ENGLISH, need, say, verdict
from train_product import fresh_home, madang_train


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 5.0, 20.0])
    parser.add_argument("--curated", action="store_true")
    chosen = parser.parse_args()
    need(ENGLISH)
    lines = []
    for minutes in chosen.minutes:
        home = fresh_home("dial", curated=chosen.curated)
        began = time.monotonic()
        run = madang_train(home, "--from", "scratch", "--minutes", f"{minutes:g}")
        seconds = time.monotonic() - began
        error = seconds / 60 / minutes - 1
        say(f"dial {minutes:g}: {seconds:.1f} s", run)
        bits = run["bits_per_byte"]["future"]["after"]
        lines.append(
            [
                f"{minutes:g}",
                f"{seconds:.1f}",
                f"{run['seconds']:.1f}",
                f"{error:+.1%}",
                "within 5 %",
                verdict(abs(error), 0.05, below=True),
                f"{run['parameters'] / 1e6:.1f}",
                f"{run['steps']:,}",
                "none" if bits is None else f"{bits:.3f}",
            ]
        )
    header = [
        "minutes asked",
        "seconds of the command",
        "seconds it states",
        "error",
        "asked",
        "",
        "parameters, M",
        "steps",
        "bits per byte, future posts",
    ]
    print(f"{machine(('torch',))}\n\n{table(header, lines)}")


if __name__ == "__main__":
    main()
