"""Train a peer's model from scratch for some minutes, then say what future posts cost it.

    PYTHONPATH=bench python bench/peers/by_the_clock.py nanogpt TOKENS --minutes 5 --rate 2e-3

TOKENS is a folder of Madang's token shards, so that posts and tokenizer are the same. Training is
what nanoGPT's script does: random crops of one stream of documents, next-token loss everywhere,
AdamW (0.9, 0.95) with weight decay 0.1 on matrices, gradients clipped at 1, a warm-up and a cosine
down to a tenth, float32, torch.compile. The one thing that is better: the schedule follows the
clock, so that it always ends where the minutes end. The clock runs from before the model is made
until after its last step, compilation included; evaluation comes after it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from nanogpt_shaped import NanoGPTShaped
from token_corpus import Document, TokenCorpus, read_corpus
from torch import Tensor, nn
from torch.nn import functional

from train_measuring import THREADS, answer, peak_memory

WARM_UP = 0.05
LAST_RATE = 0.1
IGNORED = -100


def build(chosen: argparse.Namespace, vocabulary: int) -> nn.Module:
    """Return the peer's model: heads of 64, hidden layers four times the width (GPT-2) or 8/3."""
    heads = chosen.width // 64
    if chosen.model == "nanogpt":
        return NanoGPTShaped(
            vocabulary, chosen.layers, chosen.width, heads, chosen.length, chosen.seed
        )
    from litgpt import GPT, Config

    torch.manual_seed(chosen.seed)
    model = GPT(
        Config(
            block_size=chosen.length,
            vocab_size=vocabulary,
            padded_vocab_size=vocabulary,
            n_layer=chosen.layers,
            n_head=heads,
            n_embd=chosen.width,
            rotary_percentage=1.0,
            parallel_residual=False,
            bias=False,
            norm_class_name="RMSNorm",
            mlp_class_name="LLaMAMLP",
            intermediate_size=chosen.width * 8 // 3 // 32 * 32,
        )
    )
    model.apply(model._init_weights)
    return model


def train(chosen: argparse.Namespace, corpus: TokenCorpus) -> tuple[nn.Module, dict[str, float]]:
    """Train until the minutes are over."""
    began = time.perf_counter()
    budget = chosen.minutes * 60
    model = build(chosen, corpus.vocabulary)
    matrices = [one for one in model.parameters() if one.dim() >= 2]
    vectors = [one for one in model.parameters() if one.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=chosen.rate,
        betas=(0.9, 0.95),
        fused=True,
    )
    run = model if chosen.eager else torch.compile(model)
    drawn = np.random.default_rng(chosen.seed)
    stream, length = corpus.train, chosen.length
    steps, longest, last = 0, 0.0, time.perf_counter()
    # When the first step, which compiles, has ended: the schedule begins there.
    warm = last
    loss = torch.zeros(())
    # A step that would end after the minutes is not begun.
    while last - began + longest < budget:
        done = (last - warm) / (began + budget - warm)
        for group in optimizer.param_groups:
            group["lr"] = chosen.rate * factor(done)
        at = drawn.integers(0, len(stream) - length - 1, chosen.rows)[:, None] + np.arange(length)
        inputs, targets = torch.from_numpy(stream[at]), torch.from_numpy(stream[at + 1])
        loss = functional.cross_entropy(run(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        now = time.perf_counter()
        if steps:
            longest = now - last
        else:
            warm = now
        last = now
        steps += 1
    seconds = last - began
    return model, {
        "seconds": seconds,
        "first_step_seconds": warm - began,
        "steps": steps,
        "tokens_per_second": steps * chosen.rows * length / seconds,
        "last_loss": float(loss.detach()),
        "parameters": sum(one.numel() for one in model.parameters()),
        "peak_memory": peak_memory(),
    }


def factor(done: float) -> float:
    """Return the rate's factor when this share of the minutes has passed."""
    if done < WARM_UP:
        return max(done / WARM_UP, 0.01)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP))))
    return LAST_RATE + (1 - LAST_RATE) * cosine


def bits_per_byte(model: nn.Module, corpus: TokenCorpus, context: int) -> float:
    """Return the bits that a byte of the future posts costs, by the rule of Madang's evaluation.

    Only tokens of texts are counted. A document follows an end token, as in the stream; one that
    is longer than the context is read in windows that begin half a context apart.
    """
    windows = [
        window
        for document in corpus.future
        for window in _windows(document, corpus.end_of_text, context)
    ]
    windows.sort(key=lambda one: len(one[0]))
    nats = 0.0
    model.eval()
    with torch.inference_mode():
        for first in range(0, len(windows), 16):
            group = windows[first : first + 16]
            longest = max(len(inputs) for inputs, _ in group)
            inputs = torch.zeros(len(group), longest, dtype=torch.int64)
            targets = torch.full((len(group), longest), IGNORED)
            for row, (its_inputs, its_targets) in enumerate(group):
                inputs[row, : len(its_inputs)] = its_inputs
                targets[row, : len(its_targets)] = its_targets
            logits = model(inputs)
            nats += float(
                functional.cross_entropy(
                    logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
                )
            )
    return nats / math.log(2) / sum(one.bytes for one in corpus.future)


def _windows(document: Document, end: int, context: int) -> Iterator[tuple[Tensor, Tensor]]:
    inputs = np.concatenate([[end], document.tokens[:-1]])
    targets = np.where(document.counted, document.tokens, IGNORED)
    seen = 0
    for start in range(0, len(inputs), context // 2):
        stop = min(start + context, len(inputs))
        window = targets[start:stop].copy()
        window[: seen - start] = IGNORED
        yield torch.from_numpy(inputs[start:stop]), torch.from_numpy(window)
        seen = stop
        if stop == len(inputs):
            break


def main() -> None:
    """Train and evaluate one model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=("nanogpt", "litgpt"))
    parser.add_argument("tokens", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--eager", action="store_true", help="do not compile")
    chosen = parser.parse_args()
    torch.set_num_threads(THREADS)
    corpus = read_corpus(chosen.tokens, chosen.seed)
    model, facts = train(chosen, corpus)
    began = time.perf_counter()
    bits = bits_per_byte(model, corpus, chosen.length)
    answer(bits_per_byte=bits, evaluation_seconds=time.perf_counter() - began, **facts)


if __name__ == "__main__":
    main()
