"""Training from scratch: what share of the machine's float32 matrix peak does the work.

    .venv-bench-train/bin/python bench/train_scratch.py

The shape is the one stated; batches of 16k tokens of real posts, packed. The share counts the
operations that the model needs (6 a weight and token, and attention within documents only), and
nothing of what the implementation does beside them. The peak is torch's own matrix product's,
measured in the same process before and after; compiled and not take turns.
"""

from __future__ import annotations

import argparse
import statistics

from measuring import machine, spread, table
from train_measuring import OURS, fresh, say, verdict
from train_preparing import sampled_posts

OPTIONS = ("width", "layers", "hidden", "vocabulary", "rows", "length", "micro-rows", "steps")
DEFAULTS = (512, 8, 1408, 8192, 32, 512, 8, 5)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    for name, value in zip(OPTIONS, DEFAULTS, strict=True):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = vars(parser.parse_args())
    shape = {name: chosen[name.replace("-", "_")] for name in OPTIONS}
    options = [str(part) for name, value in shape.items() for part in (f"--{name}", value)]
    data = str(sampled_posts(8192))
    script = "train_ours_scratch.py"
    runs: dict[str, list[dict[str, float]]] = {"compiled": [], "plain": []}
    for turn in range(chosen["repetitions"]):
        for name, of in runs.items():
            more = ["--compile"] if name == "compiled" else []
            of.append(fresh(OURS, script, "share", data, *options, *more))
            say(f"scratch {turn + 1}/{chosen['repetitions']} {name}", of[-1])
    print(report(runs, shape))


def report(runs: dict[str, list[dict[str, float]]], shape: dict[str, int]) -> str:
    """Return the section's tables."""

    def percent(of: list[dict[str, float]], name: str) -> str:
        return spread([100 * one[name] for one in of], 1)

    lines = [
        [
            name,
            percent(of, "gradient_share"),
            percent(of, "step_share"),
            spread([one["tokens_per_second"] for one in of]),
            spread([one["peak"] / 1e9 for one in of]),
            spread([one["first_step_seconds"] for one in of], 1),
            spread([one["peak_memory"] / 1e9 for one in of], 2),
        ]
        for name, of in runs.items()
    ]
    asked = [
        [what, f"{middle:.1%}", f"{floor:.0%}", verdict(middle, floor)]
        for what, name, key, floor in (
            ("forward and backward, compiled", "compiled", "gradient_share", 0.92),
            ("whole step, compiled", "compiled", "step_share", 0.85),
            ("whole step, without a compiler", "plain", "step_share", 0.70),
        )
        for middle in [statistics.median(one[key] for one in runs[name])]
    ]
    parameters = runs["plain"][0]["parameters"] / 1e6
    return "\n\n".join(
        [
            f"{shape['layers']} layers of width {shape['width']}, hidden {shape['hidden']}, "
            f"vocabulary {shape['vocabulary']:,} ({parameters:.1f} M parameters); "
            f"{shape['rows']} x {shape['length']} tokens a step, {shape['micro-rows']} rows at a "
            f"time, Muon; {machine(('torch',))}",
            table(
                [
                    "madang",
                    "forward and backward, % of peak",
                    "whole step, % of peak",
                    "tokens/s",
                    "peak, GFLOP/s",
                    "first step, s",
                    "peak memory, GB",
                ],
                lines,
            ),
            table(["madang", "measured", "asked", ""], asked),
        ]
    )


if __name__ == "__main__":
    main()
