"""Madang's side of the benchmarks that train from scratch, and its evaluations.

    python bench/train_ours_scratch.py share --compile   (see `main` for the others)

Each call is one measured thing in a fresh process and prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madang.training.pinning import BEFORE_TORCH, prepare_process
from train_measuring import (
    SHAKESPEARE,
    THREADS,
    WIKITEXT,
    answer,
    json_lines,
    peak_flops,
    peak_memory,
)
from train_ours import packed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from madang.corpus.corpus import Corpus
    from madang.evaluation.documents import Document
    from madang.training.batch import TrainingBatch
    from madang.training.plan import Plan


def share(chosen: argparse.Namespace) -> dict[str, Any]:
    """Time forward and backward apart from the rest of the step, real posts, 16k tokens a step."""
    import torch

    from madang.text.tokenizer import encode_post_thread, train_tokenizer
    from madang.training.building import build_model
    from madang.training.distributed import World
    from madang.training.loop import flops_of
    from madang.training.objective import next_token_loss
    from madang.training.optimizer import Optimizer, clip
    from madang.training.plan import Plan
    from madang.training.step import accumulate

    torch.set_num_threads(THREADS)
    texts = [line["text"] for line in json_lines(chosen.data)]
    tokenizer = train_tokenizer(texts, chosen.vocabulary)
    steps = chosen.warm_up + chosen.steps
    documents = [encode_post_thread(tokenizer, [text])[0] for text in texts]
    while sum(map(len, documents)) < steps * chosen.rows * chosen.length:
        documents += documents
    batches = packed(documents, chosen.rows, chosen.length, steps)
    heads = chosen.width // 64
    plan = Plan(
        vocabulary=tokenizer.vocabulary_size,
        width=chosen.width,
        layers=chosen.layers,
        heads=heads,
        key_value_heads=heads,
        hidden=chosen.hidden,
        steps=steps,
        rows=chosen.rows,
        length=chosen.length,
        micro_rows=chosen.micro_rows,
        matrix_rate=0.02,
        embedding_rate=0.003,
        vector_rate=0.003,
        compile=chosen.compile,
        threads=THREADS,
        mkl_cbwr=BEFORE_TORCH["MKL_CBWR"],
    )
    world = World()
    model = build_model(plan, world)
    optimizer = Optimizer(model.named_parameters(), plan, world)
    peaks, gradients, wholes, flops = [peak_flops(2)], [], [], []
    for step, batch in enumerate(batches):
        began = time.perf_counter()
        optimizer.clear()
        accumulate(model, next_token_loss, batch, plan.micro_batches, world)
        computed = time.perf_counter()
        clip(optimizer.gradients(), plan.clip, world)
        optimizer.step(step, 1.0)
        ended = time.perf_counter()
        gradients.append(computed - began)
        wholes.append(ended - began)
        flops.append(flops_of(plan, batch))
    peaks.append(peak_flops(2))
    counted = slice(chosen.warm_up, None)
    each = list(zip(flops[counted], gradients[counted], wholes[counted], strict=True))
    return {
        "peak": max(peaks),
        "gradient_share": statistics.median(f / g / max(peaks) for f, g, _ in each),
        "step_share": statistics.median(f / w / max(peaks) for f, _, w in each),
        "tokens_per_second": statistics.median(plan.tokens_a_step / w for _, _, w in each),
        "parameters": plan.model_config().parameters(),
        "first_step_seconds": wholes[0],
        "peak_memory": peak_memory(),
    }


def curate_english(chosen: argparse.Namespace) -> dict[str, Any]:
    """Read the English posts into a log, with consent to train, and curate them."""
    from madang.corpus.curation import curate
    from madang.posts import PostLog
    from madang.posts.consent import OWNER_GRANT
    from madang.posts.ingest import GivenGrant, ingest

    chosen.folder.mkdir(parents=True, exist_ok=True)
    with PostLog(chosen.folder / "posts.db") as log:
        grant = GivenGrant(frozenset(OWNER_GRANT), "a benchmark's posts")
        ingest(log, chosen.data, rejects=chosen.folder / "rejects", grant=grant)
        curated = curate(log, chosen.folder / "corpus")
    return {"curated": str(curated.folder), "counts": dict(curated.counts)}


def minutes(chosen: argparse.Namespace) -> dict[str, Any]:
    """Train by the plan for some minutes on curated posts, then say what future posts cost.

    The clock runs from before the model is made until after its last step, as the peers' does;
    the tokenizer and the tokens are made before, the evaluation comes after.
    """
    from madang.corpus.batches import Batches
    from madang.evaluation.scoring import score
    from madang.home.train_measuring import future_documents
    from madang.training.batch import PackedSource
    from madang.training.run import train

    plan, corpus = planned(chosen)
    source = PackedSource(
        Batches(corpus, seed=plan.seed, sequence_length=plan.length, rows=plan.rows)
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        result = train(plan, source, Path(folder) / "run")
        seconds = time.perf_counter() - began
    memory = peak_memory()
    scores = score(result.model, corpus.tokenizer, future_documents(corpus.folder.parent))
    return {
        "bits_per_byte": _bits(scores),
        "seconds": seconds,
        "steps": result.steps,
        "tokens_per_second": result.useful_tokens / result.seconds,
        "peak_share": result.peak_share,
        "parameters": plan.model_config().parameters(),
        "shape": f"{plan.layers} x {plan.width}, vocabulary {plan.vocabulary}, "
        f"{plan.rows} x {plan.length} tokens a step",
        "tokens": str(corpus.folder),
        "peak_memory": memory,
    }


def planned(chosen: argparse.Namespace) -> tuple[Plan, Corpus]:
    """Return the plan that `madang train` makes, all minutes left to the steps, and its tokens."""
    from madang.corpus.packing import tokenize, training_texts
    from madang.home.folder import Folder
    from madang.home.learning import Learning, TrainOptions
    from madang.posts import PostLog
    from madang.text.tokenizer import train_tokenizer

    options = TrainOptions(
        minutes=chosen.minutes,
        seed=chosen.seed,
        threads=THREADS,
        publish=False,
        overrides=chosen.given,
    )
    with PostLog(chosen.home / "posts.db") as log:
        learning = Learning(Folder(chosen.home), log)
        plan, curated = learning.plan(options), learning.curate(options)
    texts = (text for _, text in training_texts(curated.folder))
    corpus = tokenize(curated.folder, train_tokenizer(texts, plan.vocabulary))
    plan = replace(
        plan,
        vocabulary=corpus.vocabulary_size,
        minutes=chosen.minutes,
        reserve_seconds=0.0,
        corpus=corpus.fingerprint,
        corpus_share=1.0,
        tokenizer=corpus.tokenizer_digest,
    )
    return plan, corpus


def _bits(scores: Any) -> float:
    nats = sum(one.nats for one in scores)
    return float(nats / math.log(2) / sum(one.document.bytes for one in scores))


@dataclass(frozen=True)
class Crops:
    """Batches of stretches that begin anywhere in one text, a pure function of the step."""

    text: npt.NDArray[np.int64]
    rows: int
    length: int
    seed: int

    def batch(self, step: int) -> TrainingBatch:
        """Return the batch of a step."""
        import numpy as np

        from madang.training.batch import TrainingBatch

        drawn = np.random.default_rng([self.seed, step])
        starts = drawn.integers(0, len(self.text) - self.length - 1, self.rows)
        at = (starts[:, None] + np.arange(self.length)).reshape(-1)
        lengths = np.full(self.rows, self.length, dtype=np.int32)
        return TrainingBatch(self.text[at], lengths, self.text[at + 1], bytes=float(len(at)))


def characters(chosen: argparse.Namespace) -> dict[str, Any]:
    """Train on the first nine tenths of tinyshakespeare's characters; measure on the last."""
    import numpy as np
    import torch

    from madang.model.segments import Segments
    from madang.training.run import train

    text = np.frombuffer(SHAKESPEARE.read_bytes(), dtype=np.uint8).astype(np.int64)
    border = len(text) * 9 // 10
    plan = character_plan(chosen, border)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        result = train(
            plan, Crops(text[:border], plan.rows, plan.length, plan.seed), Path(folder) / "run"
        )
        seconds = time.perf_counter() - began
    # Windows stand side by side, so that most characters have less context than they could.
    held = text[border:]
    nats = count = 0.0
    for start in range(0, len(held) - 1, plan.length):
        stop = min(start + plan.length, len(held) - 1)
        inputs, targets = (torch.from_numpy(held[start + d : stop + d]) for d in (0, 1))
        with torch.inference_mode():
            nats += float(result.model(inputs, Segments.from_lengths([len(inputs)]), targets))
        count += len(inputs)
    return {
        "nats": nats / count,
        "seconds": seconds,
        "steps": result.steps,
        "parameters": plan.model_config().parameters(),
        "shape": f"{plan.layers} x {plan.width}, {plan.rows} x {plan.length} characters a step",
        "peak_memory": peak_memory(),
    }


def character_plan(chosen: argparse.Namespace, characters: int) -> Plan:
    """Return the plan for characters: an id is the character's code, which is below 128."""
    from madang.training.deriving import CorpusFacts, derive_plan
    from madang.training.machine import measure_machine

    given = {"vocabulary": 128, "seed": chosen.seed} | chosen.given
    facts = CorpusFacts(characters, {"en": characters})
    machine = measure_machine(2, threads=THREADS)
    return derive_plan(machine, facts, chosen.minutes, given)


def before_and_after(chosen: argparse.Namespace) -> dict[str, Any]:
    """Say what a run changed on its community's future posts and on WikiText-2's articles."""
    from madang.corpus.corpus import Corpus
    from madang.evaluation.model import compare, evaluate_model
    from madang.home.train_measuring import future_documents
    from madang.training.building import build_model
    from madang.training.distributed import World
    from madang.training.plan import read_plan
    from madang.training.run import load_run_model

    corpus = Corpus.open(chosen.tokens)
    plan = read_plan(chosen.run)
    base = build_model(replace(plan, method="full", compile=False), World())
    future, general = future_documents(corpus.folder.parent), wikitext_articles()
    before, after = (
        evaluate_model(
            model, corpus.tokenizer, future, general, max_tokens=chosen.evaluation_tokens
        )
        for model in (base, load_run_model(chosen.run))
    )
    return compare(before, after).to_json()


def wikitext_articles() -> list[Document]:
    """Return the articles of WikiText-2's validation set."""
    import re

    from madang.evaluation.documents import Document

    parts = re.split(r"\n (?== [^=].* = \n)", WIKITEXT.read_text("utf-8"))
    return [
        Document(f"wikitext2:{number}", (part.strip(),), "en")
        for number, part in enumerate(parts)
        if part.strip()
    ]


def main() -> None:
    """Measure one thing."""
    prepare_process()
    parser = argparse.ArgumentParser()
    what = parser.add_subparsers(dest="what", required=True)
    one = what.add_parser("share")
    one.add_argument("data", type=Path)
    one.add_argument("--compile", action="store_true")
    for name, value in (
        ("--vocabulary", 8192),
        ("--width", 512),
        ("--layers", 8),
        ("--hidden", 1408),
        ("--rows", 32),
        ("--length", 512),
        ("--micro-rows", 8),
        ("--steps", 5),
        ("--warm-up", 2),
    ):
        one.add_argument(name, type=int, default=value)
    one.set_defaults(function=share)
    one = what.add_parser("curate")
    one.add_argument("data", type=Path)
    one.add_argument("folder", type=Path)
    one.set_defaults(function=curate_english)
    for name, function in (("minutes", minutes), ("characters", characters)):
        one = what.add_parser(name)
        if name == "minutes":
            one.add_argument("home", type=Path)
        one.add_argument("--minutes", type=float, default=5.0)
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--given", type=json.loads, default={}, help="fields of the plan, JSON")
        one.set_defaults(function=function)
    one = what.add_parser("before-and-after")
    one.add_argument("run", type=Path)
    one.add_argument("tokens", type=Path)
    one.add_argument("--evaluation-tokens", type=int, default=65_536)
    one.set_defaults(function=before_and_after)
    chosen = parser.parse_args()
    answer(**chosen.function(chosen))


if __name__ == "__main__":
    main()
