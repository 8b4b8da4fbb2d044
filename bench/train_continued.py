"""SmolLM2 continued on English posts for 20 minutes: what it gained there, what it lost elsewhere.

    .venv-bench-train/bin/python bench/train_continued.py [--minutes 20]

`madang train --from smollm2` on all English posts; then the model before and after says what the
newest 2 % of the posts cost it, which it was not trained on, and what WikiText-2's validation
articles do, each in bits a byte. Intervals are over resampled documents, each drawn with both.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Any

from measuring import machine, table
from train_measuring import ENGLISH, OURS, WIKITEXT, fresh, need, say, verdict
from train_product import fresh_home, madang_train, tokens_folder


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--evaluation-tokens", type=int, default=65_536)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train-options", default="", help="more options of madang train")
    chosen = parser.parse_args()
    need(ENGLISH, WIKITEXT)
    home = fresh_home("continued")
    began = time.monotonic()
    run = madang_train(
        home,
        *("--from", "smollm2", "--minutes", f"{chosen.minutes:g}", "--seed", str(chosen.seed)),
        *chosen.train_options.split(),
    )
    seconds = time.monotonic() - began
    say("continued", run)
    folder = home / "runs" / run["run"]
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    found = fresh(
        OURS,
        "train_ours_scratch.py",
        "before-and-after",
        str(folder),
        str(tokens_folder(home, plan["corpus"])),
        "--evaluation-tokens",
        str(chosen.evaluation_tokens),
    )
    say("continued", found)
    print(report(chosen.minutes, seconds, run, plan, found))


def report(
    minutes: float, seconds: float, run: dict[str, Any], plan: dict[str, Any], found: dict[str, Any]
) -> str:
    """Return the section's table."""
    lines = []
    for kind, name, limit in (
        ("future", "future posts", -0.10),
        ("general", "WikiText-2, validation", 0.01),
    ):
        change = found[kind]
        # One document alone tells nothing of others.
        low, high = change["interval"] or (-math.inf, math.inf)
        lines.append(
            [
                name,
                f"{change['documents']:,}",
                f"{change['before']:.4f}",
                f"{change['after']:.4f}",
                f"{change['relative']:+.2%} ({low:+.2%} to {high:+.2%})",
                f"at most {limit:+.0%}",
                verdict(change["relative"], limit + 1e-12, below=True),
            ]
        )
    replay = f", {plan['replay_share']:.0%} replayed" if plan["replay_share"] else ""
    return "\n\n".join(
        [
            f"{minutes:g} minutes ({seconds:.0f} s), {plan['method']}, {run['steps']:,} steps of "
            f"{plan['rows']} x {plan['length']} tokens{replay}, "
            f"{run['useful_tokens_per_second']:,.0f} useful tokens/s; {machine(('torch',))}",
            table(["bits per byte", "documents", "before", "after", "change", "asked", ""], lines),
        ]
    )


if __name__ == "__main__":
    main()
