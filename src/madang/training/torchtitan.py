"""Hand a run over to torchtitan: its configuration, the tokenizer, and the same data.

From some billions of parameters on, a run wants tensor and pipeline parallelism, which torchtitan
(arXiv:2410.06511) has and `training/run.py` has not. What is written here trains there on the
same shards, in the same order, a step for a step.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.parquet as pq

from madang.corpus.batches import Batches
from madang.corpus.corpus import Corpus
from madang.training.plan import SHAPE, Plan

if TYPE_CHECKING:
    from madang.model.transformer import Transformer

VERSION: Final = "0.3"
"""The torchtitan that the configuration is written for."""
MODULE: Final = "madang_run"
# What they become. The configuration is no module here, because torchtitan is no dependency.
_FILES: Final = {
    "__init__.py": "__init__.py",
    "stream.py": "stream.py",
    "config_registry.template": "config_registry.py",
}
# Peak learning rate of AdamW for Llama 3 8B (arXiv:2407.21783, table 3). The plan's own rates are
# those of Muon, which say nothing about AdamW.
ADAMW_RATE: Final = 3e-4
CHECKPOINT_EVERY: Final = 500

README: Final = """\
# A run for torchtitan {version}

    pip install "torchtitan~={version}.0"
    torchrun --nproc-per-node 8 -m torchtitan.train --module {module} --config madang

Run it in this folder. Everything can be overridden there, for example
`--parallelism.tensor_parallel_degree 8 --training.local_batch_size 2`. Each step trains on
{rows} rows of {length} tokens, in the order in which Madang would; there are {steps} steps.

The last checkpoint is written for transformers, below `outputs/`: copy `assets/config.json` and the
tokenizer's files beside it, and it loads there, in vLLM, and in `madang train --from`.

`data/` holds the text of posts as tokens. It is a copy outside the home: what is erased there is
not erased here. Delete this folder when the run is over.
"""


@dataclass(frozen=True, slots=True)
class Handover:
    """A folder that torchtitan can train from; `command` starts it on one node of eight."""

    folder: Path
    steps: int
    tokens: int
    command: str


def emit(
    plan: Plan,
    batches: Batches,
    folder: Path,
    *,
    model: Transformer | None = None,
    learning_rate: float | None = None,
) -> Handover:
    """Write a run for torchtitan into `folder`, which must not exist or be empty.

    `model` holds the weights to start from, else the plan's base does; without either torchtitan
    draws them, in the way of `Transformer.initialise`. The optimizer is AdamW, with
    `learning_rate` or a published one. The folder appears whole or not at all. Raises ValueError,
    in one sentence, where the plan is nothing that torchtitan can train.
    """
    steps = _steps(plan)
    _check(plan, batches, folder)
    if model is None and plan.base is not None:
        from madang.training.building import load_base

        model = load_base(Path(plan.base))
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(part, plan, batches, steps, model, learning_rate)
        part.chmod(0o755)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    command = (
        f"cd {folder} && torchrun --nproc-per-node 8 -m torchtitan.train "
        f"--module {MODULE} --config madang"
    )
    return Handover(folder, steps, steps * plan.tokens_a_step, command)


def _write(
    folder: Path,
    plan: Plan,
    batches: Batches,
    steps: int,
    model: Transformer | None,
    learning_rate: float | None,
) -> None:
    _write_module(folder / MODULE, plan, steps, learning_rate)
    _write_data(folder / "data", batches, steps)
    batches.corpus.tokenizer.save(folder / "assets")
    _write_model(folder / "assets", plan, model)
    text = README.format(
        version=VERSION,
        module=MODULE,
        rows=f"{plan.rows:,}",
        length=f"{plan.length:,}",
        steps=f"{steps:,}",
    )
    (folder / "README.md").write_text(text, "utf-8")


def _steps(plan: Plan) -> int:
    steps = plan.last_step or plan.steps
    if steps is None:
        raise ValueError(
            "--emit torchtitan needs --steps, because minutes mean nothing on another machine"
        )
    return steps


def _check(plan: Plan, batches: Batches, folder: Path) -> None:
    if plan.objective != "pretrain" or plan.method != "full":
        raise ValueError(
            f"--emit torchtitan hands over pretraining of all weights, not {plan.objective} "
            f"with {plan.method}; leave out --objective and --method"
        )
    if (plan.rows, plan.length, plan.seed) != (
        batches.rows,
        batches.sequence_length,
        batches.seed,
    ):
        raise ValueError(
            f"the plan has {plan.rows} rows of {plan.length} tokens and seed {plan.seed}, the "
            f"batches {batches.rows} of {batches.sequence_length} and {batches.seed}"
        )
    if batches.corpus.vocabulary_size > plan.vocabulary:
        raise ValueError(
            f"the corpus has {batches.corpus.vocabulary_size} kinds of tokens, the model "
            f"{plan.vocabulary}; tokenize the corpus with the model's tokenizer"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty; name a new folder for the hand-over")


def _write_module(folder: Path, plan: Plan, steps: int, learning_rate: float | None) -> None:
    folder.mkdir()
    for kept, name in _FILES.items():
        source = resources.files("madang.training.handover").joinpath(kept)
        (folder / name).write_bytes(source.read_bytes())
    rate = plan.matrix_rate if plan.matrix_optimizer == "adamw" else ADAMW_RATE
    run: dict[str, Any] = {
        "model": {name: getattr(plan, name) for name in SHAPE},
        "rows": plan.rows,
        "length": plan.length,
        "steps": steps,
        "seed": plan.seed,
        "warm_up": plan.warm_up,
        "decay_share": plan.decay_share,
        "clip": plan.clip,
        "checkpoint_every": plan.checkpoint_every or min(CHECKPOINT_EVERY, steps),
        "optimizer": {
            "lr": learning_rate or rate,
            "betas": [plan.beta1, plan.beta2],
            "weight_decay": plan.weight_decay,
        },
    }
    (folder / "run.json").write_text(json.dumps(run, indent=2) + "\n", "utf-8")


def _write_model(assets: Path, plan: Plan, model: Transformer | None) -> None:
    """Write the configuration for transformers, and the weights where there are any."""
    from madang.model.hugging_face import CONFIG, hugging_face_config, save_hugging_face

    if model is not None:
        save_hugging_face(model, assets)
    else:
        config = hugging_face_config(plan.model_config())
        (assets / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _write_data(folder: Path, batches: Batches, steps: int) -> None:
    """Copy the shards and write in which order their documents are trained."""
    folder.mkdir()
    corpora = [batches.corpus] + ([] if batches.replay is None else [batches.replay])
    names: list[str] = []
    places = []
    for corpus in corpora:
        manifest = json.loads((corpus.folder / "manifest.json").read_text("utf-8"))
        index = pq.read_table(corpus.folder / "index.parquet", columns=["shard", "start"])
        shards = index["shard"].to_numpy().astype(np.int64) + len(names)
        places.append(np.stack([shards, index["start"].to_numpy()], axis=1))
        for shard in manifest["shards"]:
            names.append(f"tokens-{len(names):05}.bin")
            shutil.copyfile(corpus.folder / shard["file"], folder / names[-1])
    starts: list[int] = []
    number, end = 0, steps * batches.tokens_a_step
    while not starts or starts[-1] + batches.epoch(number - 1).tokens < end:
        epoch = batches.epoch(number)
        order = places[0][np.where(epoch.replay, 0, epoch.index)]
        if epoch.replay.any():
            order[epoch.replay] = places[1][epoch.index[epoch.replay]]
        np.save(folder / f"order-{number:05}.npy", order)
        np.save(folder / f"ends-{number:05}.npy", epoch.ends)
        starts.append(epoch.start)
        number += 1
    facts = {
        "rows": batches.rows,
        "length": batches.sequence_length,
        "steps": steps,
        "dtype": _dtype(batches.corpus),
        "shards": names,
        "epochs": starts,
    }
    (folder / "order.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def _dtype(corpus: Corpus) -> str:
    return "<u2" if corpus.vocabulary_size <= 1 << 16 else "<u4"
