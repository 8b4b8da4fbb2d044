"""LoRA on SmolLM2-135M over real posts, beside TRL and PEFT: useful tokens a second.

    .venv-bench-train/bin/python bench/train_lora.py

Rank 8 on every linear layer, batches of 4 x 512, every token trained, float32, two threads, no
gradient checkpointing. Ours and TRL's two forms take turns, each run in a process of its own;
steps before the first that counts warm up. Useful tokens are those of posts, padding is not. The
arithmetic limit is what a forward and a backward pass through frozen weights need, 4 operations a
weight and token, at the matrix peak that our run measures before and after itself.
"""

from __future__ import annotations

import argparse
import statistics

from measuring import machine, spread, table
from train_measuring import OURS, PEERS, fresh, peers_packages, say, verdict
from train_preparing import sampled_posts, smollm2_folder

WEIGHTS = 134_515_008 - 61 * 576
"""SmolLM2's matrices, the output layer among them; its 61 norms multiply nothing."""
POSTS = 8192


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="of ours and of TRL packed")
    parser.add_argument("--unpacked-steps", type=int, default=16)
    parser.add_argument("--posts", type=int, default=POSTS)
    parser.add_argument("--micro-rows", type=int, default=2, help="rows ours computes at a time")
    chosen = parser.parse_args()
    model, data = str(smollm2_folder()), str(sampled_posts(chosen.posts))
    trl, ours = "peers/trl_training.py", "train_ours.py"
    few, many = str(chosen.steps), str(chosen.unpacked_steps)
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "unpacked": [], "packed": []}
    micro = str(chosen.micro_rows)
    for turn in range(chosen.repetitions):
        seed = ("--seed", str(turn))
        asked = {
            "unpacked": (PEERS, trl, model, data, "--steps", many, *seed),
            "ours": (OURS, ours, "lora", model, data, "--steps", few, "--micro-rows", micro),
            "packed": (PEERS, trl, model, data, "--steps", few, *seed, "--packed"),
        }
        for name, call in asked.items():
            runs[name].append(fresh(*call))
            say(f"lora {turn + 1}/{chosen.repetitions} {name}", runs[name][-1])
    print(report(runs))


def report(runs: dict[str, list[dict[str, float]]]) -> str:
    """Return the section's tables."""
    ours = runs["ours"]
    speed = {name: [one["useful_per_second"] for one in of] for name, of in runs.items()}
    names = {
        "ours": "madang",
        "unpacked": "TRL + PEFT as they come (unpacked)",
        "packed": "TRL + PEFT, packing=True (best-fit decreasing)",
    }
    lines = [
        [
            names[name],
            spread(speed[name], 1),
            f"{statistics.median(one['useful_share'] for one in of):.0%}",
            spread([one["peak_memory"] / 1e9 for one in of], 2),
        ]
        for name, of in runs.items()
    ]
    limits = [one["peak"] / (4 * WEIGHTS) for one in ours]
    against = [
        (name, floor, [a / b for a, b in zip(speed["ours"], speed[name], strict=True)])
        for name, floor in (("unpacked", 3.0), ("packed", 2.0))
    ]
    shares = [one / limit for one, limit in zip(speed["ours"], limits, strict=True)]
    memory = statistics.median(one["peak_memory"] / 1e9 for one in ours)
    asked = [
        [f"times {names[name]}", spread(r, 2), f"{floor:g}", verdict(statistics.median(r), floor)]
        for name, floor, r in against
    ] + [
        [
            "share of the arithmetic limit in the same run",
            spread([100 * one for one in shares], 1) + " %",
            "85 %",
            verdict(statistics.median(shares), 0.85),
        ],
        ["peak memory, GB", f"{memory:.2f}", "under 3.5", verdict(memory, 3.5, below=True)],
    ]
    return "\n\n".join(
        [
            machine(peers_packages()),
            table(
                ["what", "useful tokens/s", "of the positions computed", "peak memory, GB"], lines
            ),
            f"arithmetic limit: {spread(limits, 0)} tokens/s at "
            f"{spread([one['peak'] / 1e9 for one in ours])} GFLOP/s",
            table(["madang", "measured", "asked", ""], asked),
        ]
    )


if __name__ == "__main__":
    main()
