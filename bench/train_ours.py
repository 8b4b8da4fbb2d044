"""Madang's side of the training benchmarks; runs in Madang's own environment.

    python bench/train_ours.py lora --steps 6            (see `main` for the others)

Each call is one measured thing in a fresh process and prints one JSON object.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madang.training.pinning import BEFORE_TORCH, prepare_process
from train_measuring import THREADS, answer, json_lines, peak_flops, peak_memory

if TYPE_CHECKING:
    from madang.text.tokenizer import Tokenizer
    from madang.training.batch import BatchSource, TrainingBatch
    from madang.training.plan import Plan

ROWS, LENGTH = 4, 512


def adapter_plan(base: Path, steps: int, objective: str, micro_rows: int) -> Plan:
    """Return the plan of LoRA of rank 8 on every linear layer, batches of 4 x 512."""
    from dataclasses import asdict

    from madang.model.hugging_face import read_config
    from madang.training.plan import Plan

    shape = asdict(read_config(base / "config.json"))
    values: dict[str, Any] = {
        **shape,
        "objective": objective,
        "method": "lora",
        "base": str(base),
        "steps": steps,
        "rows": ROWS,
        "length": LENGTH,
        "micro_rows": micro_rows,
        "matrix_rate": 2e-4,
        "embedding_rate": 2e-4,
        "vector_rate": 2e-4,
        "threads": THREADS,
        "mkl_cbwr": BEFORE_TORCH["MKL_CBWR"],
    }
    return Plan(**values)


def packed(
    documents: Sequence[Sequence[int]], rows: int, length: int, steps: int
) -> list[TrainingBatch]:
    """Pack documents one after another into `steps` batches, every next token a target.

    A segment ends at a row's end; its last target stands in the next row. Raises ValueError where
    the documents are too few.
    """
    import numpy as np

    from madang.training.batch import IGNORED, TrainingBatch

    stream = np.concatenate([np.asarray(one, dtype=np.int64) for one in documents])
    wanted = rows * length * steps
    if len(stream) < wanted:
        raise ValueError(f"{len(stream)} tokens are too few for {wanted}")
    ends = np.cumsum([len(one) for one in documents])
    targets = np.append(stream[1:], IGNORED)
    targets[ends - 1] = IGNORED
    borders = np.union1d(ends, np.arange(length, len(stream) + 1, length))
    batches = []
    for step in range(steps):
        start, stop = step * rows * length, (step + 1) * rows * length
        inside = borders[(borders > start) & (borders <= stop)]
        lengths = np.diff(inside, prepend=start).astype(np.int32)
        batches.append(TrainingBatch(stream[start:stop], lengths, targets[start:stop]))
    return batches


def timed_run(plan: Plan, source: BatchSource, warm_up: int) -> dict[str, Any]:
    """Train by the plan; return useful tokens/s after `warm_up` steps, all between steps included.

    The peak of the machine's matrix products is taken before and after in the same process.
    """
    from madang.training.metrics import read_metrics
    from madang.training.run import train

    before = peak_flops(2)
    with tempfile.TemporaryDirectory() as folder:
        result = train(plan, source, Path(folder) / "run")
        memory = peak_memory()
        lines = [line for line in read_metrics(result.folder) if "loss" in line]
    first, last = lines[warm_up - 1], lines[-1]
    after = peak_flops(2)
    seconds = last["seconds"] - first["seconds"]
    return {
        "useful_per_second": (last["useful_tokens"] - first["useful_tokens"]) / seconds,
        "useful_share": last["useful_tokens"] / last["tokens"],
        "seconds": seconds,
        "peak": max(before, after),
        "peaks": [before, after],
        "peak_memory": memory,
        "losses": [first["loss"], last["loss"]],
    }


def lora(chosen: argparse.Namespace) -> dict[str, Any]:
    """Continue SmolLM2 by LoRA on posts, every token trained."""
    from madang.text.tokenizer import encode_post_thread
    from madang.training.batch import FixedSource

    tokenizer = _tokenizer(chosen.model)
    steps = chosen.warm_up + chosen.steps
    plan = adapter_plan(chosen.model, steps, "pretrain", chosen.micro_rows)
    documents = [
        encode_post_thread(tokenizer, [line["text"]])[0] for line in json_lines(chosen.data)
    ]
    source = FixedSource(packed(documents, ROWS, LENGTH, steps))
    return timed_run(plan, source, chosen.warm_up)


def sft(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune SmolLM2 by LoRA on conversations, answers trained only."""
    import numpy as np

    from madang.home.train_sources import Source, examples_of
    from madang.training.batch import IGNORED

    steps = chosen.warm_up + chosen.steps
    plan = adapter_plan(chosen.model, steps, "sft", chosen.micro_rows)
    examples = examples_of(plan, Source(data=str(chosen.data)), _tokenizer(chosen.model), None)
    source: Any = examples.source
    batches = [source.batch(step) for step in range(chosen.warm_up, steps)]
    trained = sum(int(np.count_nonzero(one.targets != IGNORED)) for one in batches)
    useful = sum(one.useful for one in batches)
    result = timed_run(plan, source, chosen.warm_up)
    share = trained / useful
    return result | {
        "trained_share": share,
        "trained_per_second": result["useful_per_second"] * share,
    }


def _tokenizer(folder: Path) -> Tokenizer:
    from madang.text.tokenizer import Tokenizer

    return Tokenizer.load(folder)


def main() -> None:
    """Measure one thing."""
    prepare_process()
    parser = argparse.ArgumentParser()
    what = parser.add_subparsers(dest="what", required=True)
    for name, function in (("lora", lora), ("sft", sft)):
        one = what.add_parser(name)
        one.add_argument("model", type=Path)
        one.add_argument("data", type=Path)
        one.add_argument("--steps", type=int, default=6)
        one.add_argument("--warm-up", type=int, default=2)
        one.add_argument("--micro-rows", type=int, default=ROWS)
        one.set_defaults(function=function)
    chosen = parser.parse_args()
    answer(**chosen.function(chosen))


if __name__ == "__main__":
    main()
