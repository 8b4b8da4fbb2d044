"""Supervised fine-tuning on answers only, beside TRL packed with completion-only loss.

    .venv-bench-train/bin/python bench/train_sft.py

TweetQA's questions with their posts: post and question are the prompt, the answer is learnt.
SmolLM2-135M, LoRA of rank 8 on every linear layer, batches of 4 x 512, float32, two threads, no
gradient checkpointing. Tokens a second count all tokens of conversations, trained or not, and no
padding, on both sides; both see the same token ids, by the same tokenizer and template. The
arithmetic limit takes the output layer in only for the tokens that are trained.
"""

from __future__ import annotations

import argparse
import statistics

from measuring import machine, spread, table
from train_measuring import OURS, PEERS, fresh, peers_packages, say, verdict
from train_preparing import smollm2_folder, tweetqa_conversations

HEAD = 49_152 * 576
BLOCKS = 134_515_008 - 61 * 576 - HEAD


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--micro-rows", type=int, default=4, help="rows ours computes at a time")
    chosen = parser.parse_args()
    model, data = str(smollm2_folder()), str(tweetqa_conversations())
    trl = "peers/trl_training.py"
    steps = ("--steps", str(chosen.steps))
    ours, theirs = [], []
    for turn in range(chosen.repetitions):
        more = ("--micro-rows", str(chosen.micro_rows))
        ours.append(fresh(OURS, "train_ours.py", "sft", model, data, *steps, *more))
        say(f"sft {turn + 1}/{chosen.repetitions} ours", ours[-1])
        more = ("--packed", "--answers", "--seed", str(turn))
        theirs.append(fresh(PEERS, trl, model, data, *steps, *more))
        say(f"sft {turn + 1}/{chosen.repetitions} TRL", theirs[-1])
    print(report(ours, theirs))


def report(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> str:
    """Return the section's tables."""
    lines = [
        [
            name,
            spread([one["useful_per_second"] for one in of], 1),
            spread([one["trained_per_second"] for one in of], 1),
            spread([one["peak_memory"] / 1e9 for one in of], 2),
        ]
        for name, of in (("madang", ours), ("TRL + PEFT, packed, completion only", theirs))
    ]
    times = [
        a["useful_per_second"] / b["useful_per_second"] for a, b in zip(ours, theirs, strict=True)
    ]
    limits = [one["peak"] / (4 * (BLOCKS + one["trained_share"] * HEAD)) for one in ours]
    shares = [one["useful_per_second"] / limit for one, limit in zip(ours, limits, strict=True)]
    blocks = [one["useful_per_second"] * 4 * BLOCKS / one["peak"] for one in ours]
    asked = [
        ["times TRL", spread(times, 2), "3", verdict(statistics.median(times), 3)],
        [
            "share of the arithmetic limit in the same run",
            spread([100 * one for one in shares], 1) + " %",
            "90 %",
            verdict(statistics.median(shares), 0.9),
        ],
        [
            "the same, as if the output layer cost nothing",
            spread([100 * one for one in blocks], 1) + " %",
            "",
            "",
        ],
    ]
    return "\n\n".join(
        [
            machine(peers_packages()),
            table(["what", "tokens/s", "trained tokens/s", "peak memory, GB"], lines),
            f"arithmetic limit: {spread(limits, 0)} tokens/s at "
            f"{spread([one['peak'] / 1e9 for one in ours])} GFLOP/s, "
            f"{statistics.median(one['trained_share'] for one in ours):.1%} of the tokens trained",
            table(["madang", "measured", "asked", ""], asked),
        ]
    )


if __name__ == "__main__":
    main()
