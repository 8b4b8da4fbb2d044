"""Forward and backward of the model as a share of the machine's matrix product peak.

python bench/model_speed.py [--cases lora,answers,scratch] [--steps 5] [--compile] [--profile]

Around each step the peak is measured in the same process, `torch.mm` of 2048 x 2048 float32, and
the step is compared with the median of its neighbours, since what else the machine does moves both.
`--clock cpu` counts the process's own seconds on all cores instead of the wall's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from madang.model import LoraConfig, ModelConfig, Segments, Transformer, add_lora
from madang.model.compiling import compile_blocks
from measuring import machine, spread, table

SMOLLM2: Final = ModelConfig(
    vocabulary=49_152,
    width=576,
    layers=30,
    heads=9,
    key_value_heads=3,
    head_width=64,
    hidden=1536,
    qk_norm=False,
    rope_base=100_000.0,
    norm_epsilon=1e-5,
    context=8192,
)
SCRATCH: Final = ModelConfig(
    vocabulary=8192,
    width=768,
    layers=6,
    heads=12,
    key_value_heads=4,
    head_width=64,
    hidden=2048,
)
POST: Final = 97
"""Tokens of a post on average."""


@dataclass(frozen=True)
class Case:
    """A model, its input, and the operations that a step cannot do without."""

    name: str
    model: Transformer
    tokens: Tensor
    segments: Segments
    targets: Tensor
    flops: float


def main() -> None:
    """Print a table with a line for each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", default="lora,answers,scratch")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the case has")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    lines = []
    for name in arguments.cases.split(","):
        case = CASES[name](arguments.layers)
        if arguments.compile:
            compile_blocks(case.model)
        if arguments.profile:
            profile(case)
            continue
        shares, rates, peaks = measure(case, arguments.steps, clock)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        lines.append((case.name, spread(shares, 1), spread(rates), spread(peaks), f"{memory:.2f}"))
    print(f"{machine(['torch'])}, {torch.get_num_threads()} threads\n")
    head = ("what", "share of the peak, %", "tokens/s", "peak, GFLOP/s", "most memory so far, GB")
    print(table(head, lines))


def packed(tokens: int, row: int) -> list[int]:
    """Return lengths of documents of about POST tokens, packed into rows without padding."""
    lengths: list[int] = []
    generator = torch.Generator().manual_seed(0)
    for _ in range(tokens // row):
        left = row
        while left:
            drawn = 8 + int(torch.empty(1).exponential_(1 / (POST - 8), generator=generator))
            lengths.append(min(drawn, left))
            left -= lengths[-1]
    return lengths


def lora_case(layers: int) -> Case:
    """SmolLM2 with rank 8 on every linear layer, 4 x 512 tokens of packed posts, all trained."""
    config = with_layers(SMOLLM2, layers)
    model, tokens, segments = _prepared(config, 2048, 512)
    add_lora(model, LoraConfig(rank=8), seed=0)
    flops = 4.0 * config.matmul_parameters() * 2048
    return Case("LoRA, SmolLM2, 4 × 512, all trained", model, tokens, segments, tokens, flops)


def answers_case(layers: int) -> Case:
    """SmolLM2 with the same adapters on 32 questions of 64 tokens, 6 of each trained."""
    config = with_layers(SMOLLM2, layers)
    model, tokens, _ = _prepared(config, 2048, 512)
    add_lora(model, LoraConfig(rank=8), seed=0)
    trained = torch.arange(2048) % 64 >= 58
    targets = tokens.where(trained, -100)
    head = config.vocabulary * config.width
    flops = 4.0 * ((config.matmul_parameters() - head) * 2048 + head * int(trained.sum()))
    segments = Segments.from_lengths([64] * 32)
    return Case("LoRA, SmolLM2, 32 × 64, answers", model, tokens, segments, targets, flops)


def scratch_case(layers: int) -> Case:
    """Every weight trained, 4096 tokens, documents of a post or two in rows of 512."""
    config = with_layers(SCRATCH, layers)
    model, tokens, segments = _prepared(config, 4096, 512)
    flops = config.flops_per_token(segments.attended) * 4096
    name = f"all weights, width {config.width}, {config.layers} layers, 4096 tokens"
    return Case(name, model, tokens, segments, tokens, flops)


CASES: Final[dict[str, Callable[[int], Case]]] = {
    "lora": lora_case,
    "answers": answers_case,
    "scratch": scratch_case,
}


def with_layers(config: ModelConfig, layers: int) -> ModelConfig:
    """Return the configuration, with another number of layers unless it is 0."""
    return ModelConfig(**{**vars(config), "layers": layers or config.layers})


def _prepared(config: ModelConfig, tokens: int, row: int) -> tuple[Transformer, Tensor, Segments]:
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        # Outputs that start at 0 would leave gradients at 0, which may be quicker to multiply.
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0.0, 0.02, generator=generator)
    drawn = torch.randint(config.vocabulary, (tokens,), generator=generator)
    return model, drawn, Segments.from_lengths(packed(tokens, row))


def step(case: Case) -> None:
    """Run forward and backward once; gradients are dropped."""
    loss = case.model(case.tokens, case.segments, case.targets)
    (loss / len(case.tokens)).backward()
    case.model.zero_grad()


def measure(
    case: Case, steps: int, clock: Callable[[], float]
) -> tuple[list[float], list[float], list[float]]:
    """Return, for each step: share of the peak in %, tokens per second, peak in GFLOP/s."""
    left, right, out = torch.randn(2048, 2048), torch.randn(2048, 2048), torch.empty(2048, 2048)

    def peak() -> list[float]:
        found = []
        for _ in range(5):
            begin = clock()
            torch.mm(left, right, out=out)
            found.append(2 * 2048**3 / (clock() - begin))
        return found

    step(case)
    shares, rates, peaks = [], [], []
    before = peak()
    for _ in range(steps):
        begin = clock()
        step(case)
        seconds = clock() - begin
        after = peak()
        around = statistics.median(before + after)
        before = after
        shares.append(100 * case.flops / seconds / around)
        rates.append(len(case.tokens) / seconds)
        peaks.append(around / 1e9)
    return shares, rates, peaks


def profile(case: Case) -> None:
    """Print where a step's time goes."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    step(case)
    with record(activities=[ProfilerActivity.CPU], record_shapes=True) as recorded:
        step(case)
    found = recorded.key_averages(group_by_input_shape=True)
    print(found.table(sort_by="self_cpu_time_total", row_limit=40, max_name_column_width=40))


if __name__ == "__main__":
    main()
