"""The same posts, tokenizer and minutes: Madang's plan beside litgpt and a nanoGPT-shaped model.

    .venv-bench-train/bin/python bench/train_minutes.py [--minutes 5] [--seeds 5] [--resume]

All train from scratch in float32 on two threads, compiled, for the minutes; the clock runs from
before the model is made until after its last step, compilation included. Then each says what the
newest 2 % of the posts cost it, in bits a byte, by the same rule. The peers are tuned first, each
try for the whole minutes on a seed of its own: the nanoGPT-shaped model's size, its rate and its
batch, each for as long as a step up or down is better, and litgpt's rate from there. Seeds are
paired; intervals are Student's t over the pairs. Ours also runs for parts of the minutes, so that
the time it needs to reach the nanoGPT-shaped model's loss is read between runs that ended.

What was measured is kept in build/bench-training/minutes.jsonl; `--resume` takes from it what an
interrupted run has left.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import machine, spread, table
from train_measuring import (
    ENGLISH,
    OURS,
    PEERS,
    WORK,
    fresh,
    need,
    paired_interval,
    say,
    verdict,
)
from train_product import english_home

TUNING_SEED = 1000
START = {"layers": 2, "width": 128, "rate": 4e-3, "rows": 4}
"""Where the search for the peers' settings begins."""
SIZES = [
    {"layers": layers, "width": width}
    for layers, width in ((2, 128), (3, 192), (4, 256), (6, 256), (6, 384), (8, 512))
]
RATES = [{"rate": rate} for rate in (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)]
ROWS = [{"rows": rows} for rows in (1, 2, 4, 8, 16, 32, 64)]
DIALS = (0.5, 1.0)
"""The parts of the minutes for which ours runs."""

Result = dict[str, Any]
Scale = Sequence[dict[str, float]]


class Kept:
    """What was measured so far, by what was asked."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        """Read the file, or begin it anew."""
        self._path = path
        self._found: dict[str, Result] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume and path.exists():
            lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
            self._found = {line["asked"]: line["result"] for line in lines}
        else:
            path.write_text("", "utf-8")

    def measure(self, python: Path, script: str, *asked: str) -> Result:
        """Return what was measured before, or measure it and keep it."""
        key = " ".join((script, *asked))
        if key not in self._found:
            self._found[key] = fresh(python, script, *asked)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"asked": key, "result": self._found[key]}) + "\n")
            say(key, self._found[key])
        return self._found[key]


class Contest:
    """Runs of all sides for the same minutes."""

    def __init__(self, minutes: float, kept: Kept, home: str, given: str) -> None:
        """Take what is to be compared; `given` are fields of our plan that are set by hand."""
        self.minutes, self.kept, self.home, self.given = minutes, kept, home, given

    def ours(self, seed: int, part: float) -> Result:
        """Train by the plan for a part of the minutes."""
        asked = (f"--minutes={self.minutes * part:g}", f"--seed={seed}", f"--given={self.given}")
        return self.kept.measure(OURS, "train_ours_scratch.py", "minutes", self.home, *asked)

    def peer(self, model: str, tokens: str, seed: int, setting: dict[str, float]) -> Result:
        """Train a peer for the minutes."""
        options = [part for name, value in setting.items() for part in (f"--{name}", f"{value:g}")]
        asked = ("--minutes", f"{self.minutes:g}", "--seed", str(seed), *options)
        return self.kept.measure(PEERS, "peers/by_the_clock.py", model, tokens, *asked)

    def tune(
        self, model: str, tokens: str, best: dict[str, float], scales: Sequence[Scale]
    ) -> tuple[dict[str, float], list[list[str]]]:
        """Improve on a setting along one scale after another; return the best and every try.

        On each scale the search goes on from where it stands for as long as the next step is
        better, and over all scales again until none has anything better.
        """
        tried: dict[tuple[float, ...], float] = {}

        def bits(setting: dict[str, float]) -> float:
            key = tuple(setting.values())
            if key not in tried:
                tried[key] = self.peer(model, tokens, TUNING_SEED, setting)["bits_per_byte"]
            return tried[key]

        before: dict[str, float] = {}
        while before != best:
            before = best
            for scale in scales:
                at = next(at for at, step in enumerate(scale) if best | step == best)
                for way in (-1, 1):
                    while 0 <= at + way < len(scale) and bits(best | scale[at + way]) < bits(best):
                        at += way
                        best = best | scale[at]
        lines = [
            [model, f"{layers} x {width}", f"{rate:g}", f"{rows:g} x 256", f"{cost:.4f}"]
            for (layers, width, rate, rows), cost in tried.items()
        ]
        return best, lines


def time_to(loss: float, minutes: Sequence[float], losses: Sequence[float]) -> float:
    """Return after how many minutes a loss is reached, from runs of several lengths.

    Between two runs the loss falls evenly in the logarithm of the time; outside them the nearest
    two are drawn on. Infinite where the loss does not fall.
    """
    runs = sorted(zip(minutes, losses, strict=True))
    for (m1, l1), (m2, l2) in itertools.pairwise(runs):
        if l2 <= loss or (m2, l2) == runs[-1]:
            if l1 <= l2:
                return math.inf if loss < l2 else m1
            share = (l1 - loss) / (l1 - l2)
            return m1 * (m2 / m1) ** share
    raise AssertionError("there are at least two runs")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--untuned", action="store_true", help="leave the peers where the search begins"
    )
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--given", default="{}", help="fields of our plan set by hand, JSON")
    chosen = parser.parse_args()
    need(ENGLISH)
    kept = Kept(WORK / "minutes.jsonl", resume=chosen.resume)
    contest = Contest(chosen.minutes, kept, str(english_home()), chosen.given)

    tokens = contest.ours(0, DIALS[-1])["tokens"]
    tuning: list[list[str]] = []
    settings: dict[str, dict[str, float]] = {"nanogpt": START, "litgpt": START}
    if not chosen.untuned:
        # litgpt's model has nearly the same shape, so its search begins where the other's ends.
        scales = {"nanogpt": (SIZES, RATES, ROWS), "litgpt": (RATES,)}
        best: dict[str, float] = START
        for model, its in scales.items():
            best, lines = contest.tune(model, tokens, best, its)
            settings[model] = best
            tuning += lines
    ours: list[list[Result]] = []
    peers: dict[str, list[Result]] = {model: [] for model in settings}
    # All sides of a pair run one after another, for a machine's speed changes over hours.
    for seed in range(chosen.seeds):
        ours.append([contest.ours(seed, part) for part in DIALS])
        for model, setting in settings.items():
            peers[model].append(contest.peer(model, ours[-1][-1]["tokens"], seed, setting))
    print(report(chosen.minutes, ours, peers, settings, tuning))


def report(
    minutes: float,
    ours: list[list[Result]],
    peers: dict[str, list[Result]],
    settings: dict[str, dict[str, float]],
    tuning: list[list[str]],
) -> str:
    """Return the section's tables."""
    whole = [runs[-1] for runs in ours]
    names = {"nanogpt": "nanoGPT-shaped, AdamW", "litgpt": "litgpt, AdamW"}
    lines = [
        _line(f"madang ({part * minutes:.3g} min)", ours[0][at]["shape"], [r[at] for r in ours])
        for at, part in enumerate(DIALS)
    ] + [
        _line(
            names[model],
            "{layers:g} x {width:g}, rate {rate:g}, {rows:g} x 256 tokens".format(
                **settings[model]
            ),
            runs,
        )
        for model, runs in peers.items()
    ]
    best = [
        min(of)
        for of in zip(*([r["bits_per_byte"] for r in p] for p in peers.values()), strict=True)
    ]
    saved = [100 * (1 - one["bits_per_byte"] / of) for one, of in zip(whole, best, strict=True)]
    mean, low, high = paired_interval(saved)
    parts = [
        time_to(
            peer["bits_per_byte"],
            [run["seconds"] / 60 for run in runs],
            [run["bits_per_byte"] for run in runs],
        )
        / minutes
        for runs, peer in zip(ours, peers["nanogpt"], strict=True)
    ]
    faster, at_least, at_most = paired_interval(parts)
    memory = max(run["peak_memory"] for run in whole) / 1e9
    asked = [
        [
            "bits per byte below the better peer, %",
            f"{mean:.1f} ({low:.1f} to {high:.1f})",
            "5, interval above 0",
            verdict(mean if low > 0 else -1, 5),
        ],
        [
            "time to the nanoGPT-shaped model's loss, of its time",
            f"{faster:.2f} ({at_least:.2f} to {at_most:.2f})",
            "0.67",
            verdict(faster, 0.67 + 1e-9, below=True),
        ],
        ["peak memory, GB", f"{memory:.2f}", "under 2", verdict(memory, 2, below=True)],
    ]
    said = [
        f"{minutes:g} minutes, {len(ours)} paired seeds, English posts; "
        f"{machine(('torch', 'litgpt'))}",
        table(["what", "shape", "bits per byte", "tokens/s", "parameters, M", "seconds"], lines),
        table(["madang, mean and 95 % interval", "measured", "asked", ""], asked),
    ]
    if tuning:
        said += [
            "How the peers were tuned, each try for the whole minutes on a seed of its own; the "
            "best of each peer is the setting above.",
            table(["peer", "size", "rate", "batch", "bits per byte"], tuning),
        ]
    return "\n\n".join(said)


def _line(name: str, shape: str, runs: list[Result]) -> list[str]:
    return [
        name,
        shape,
        spread([run["bits_per_byte"] for run in runs], 4),
        spread([run["tokens_per_second"] for run in runs]),
        f"{runs[0]['parameters'] / 1e6:.1f}",
        spread([run["seconds"] for run in runs], 1),
    ]


if __name__ == "__main__":
    main()
