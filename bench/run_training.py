"""Run the benchmarks of training and write their sections of bench/RESULTS.md.

    make bench-train

Each section is written as soon as it is taken. Scripts that are named run alone, and what they
are given after `--` goes to them:

    .venv-bench-train/bin/python bench/run_training.py train_minutes.py -- --resume
"""

from __future__ import annotations

import sys

from run import take
from train_measuring import OURS

# What Madang's own environment runs; where a peer is beside it, the script calls the peer's.
OWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Curation, beside datatrove", ("curation.py",)),
    ("Training: exports", ("export_equality.py",)),
)
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Training: LoRA on posts, beside TRL", ("train_lora.py",)),
    ("Training: fine-tuning on answers, beside TRL", ("train_sft.py",)),
    ("Training: from scratch, share of the machine's peak", ("train_scratch.py",)),
    ("Training: characters", ("train_characters.py",)),
    ("Training: the dial", ("train_dial.py",)),
    ("Training: SmolLM2 continued", ("train_continued.py",)),
    ("Training: five minutes, beside litgpt and a nanoGPT-shaped model", ("train_minutes.py",)),
)


def main() -> None:
    """Run all, or the scripts that are named."""
    words = sys.argv[1:]
    border = words.index("--") if "--" in words else len(words)
    options = words[border + 1 :]
    chosen = set(words[:border])
    for sections, python in ((OWN, str(OURS)), (SECTIONS, sys.executable)):
        if not chosen or chosen & {command[0] for _, command in sections}:
            take([(title, (*command, *options)) for title, command in sections], chosen, python)


if __name__ == "__main__":
    main()
