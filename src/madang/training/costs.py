"""What a run takes on a cluster: time and memory, for planning before renting.

    python -m madang.training.costs [ko]

prints the tables of docs/cluster.md. `PUBLISHED` are measured throughputs, with their sources, that
the formulas of `cost_formulas` reproduce.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from madang.training.cost_formulas import (
    H100,
    H100_HBM2E,
    REPEATED,
    Accelerator,
    Layout,
    Shape,
    cost,
    step_memory,
    step_seconds,
)

Language = Literal["en", "ko"]

MEMORY_SHARE: Final = 0.9
"""Of the memory, what may be planned with; the rest is fragments and buffers."""
LARGEST_SHARD_GROUP: Final = 256
"""Ranks that share one copy of the weights at most; beyond, copies are replicated (HSDP)."""


@dataclass(frozen=True, slots=True)
class Published:
    """A throughput that was measured: tokens a second and accelerator, or MFU's FLOP/s."""

    what: str
    source: str
    shape: Shape
    layout: Layout
    tokens_per_second: float | None = None
    flops: float | None = None
    accelerator: Accelerator = H100

    @property
    def measured(self) -> float:
        """What was published."""
        found = self.tokens_per_second if self.flops is None else self.flops
        assert found is not None
        return found

    @property
    def predicted(self) -> float:
        """What the formulas say, in the unit of what was published."""
        found = cost(self.shape, self.layout, self.accelerator)
        if self.flops is None:
            return found.tokens_per_second
        return found.model_flops_share * self.accelerator.peak


LLAMA_8B: Final = Shape("Llama 3.1 8B", 32, 4096, 32, 8, 14336, 128256)
LLAMA_405B: Final = Shape("Llama 3.1 405B", 126, 16384, 128, 8, 53248, 128256)
# MPT's feed-forward part has two matrices of 4 x width; three of 8/3 are as many weights.
MPT_1B: Final = Shape("MPT 1B", 24, 2048, 16, 16, 5461, 50368, tied=True)
MPT_7B: Final = Shape("MPT 7B", 32, 4096, 32, 32, 10923, 50368, tied=True)
MPT_70B: Final = Shape("MPT 70B", 80, 8192, 64, 64, 21845, 50368, tied=True)

_TITAN: Final = "torchtitan, benchmarks/llama3_h100_202412_torchtitan.md, FSDP + torch.compile"
_FOUNDRY: Final = "llm-foundry, scripts/train/benchmarking/README.md, H100 BF16"
_HERD: Final = "Llama 3, arXiv:2407.21783, table 4"

PUBLISHED: Final = (
    Published("Llama 3.1 8B, 8", _TITAN, LLAMA_8B,
              Layout(8, 8, 2, 8192, 2, recompute="selective"), 6667, accelerator=H100_HBM2E),
    Published("Llama 3.1 8B, 128", _TITAN, LLAMA_8B,
              Layout(128, 128, 2, 8192, 2, recompute="selective"), 6514, accelerator=H100_HBM2E),
    Published("MPT 1B, 64", _FOUNDRY, MPT_1B, Layout(64, 64, 20, 2048, 20), 44402),
    Published("MPT 7B, 8", _FOUNDRY, MPT_7B, Layout(8, 8, 6, 2048, 6), 10643),
    Published("MPT 70B, 64", _FOUNDRY, MPT_70B,
              Layout(64, 64, 32, 2048, 8, recompute="full"), 1039),
    Published("Llama 3.1 405B, 8,192", _HERD, LLAMA_405B,
              Layout(64, 64, 32, 8192, 1, 8, 16, 8, gathered=True), flops=430e12),
    Published("Llama 3.1 405B, 16,384", _HERD, LLAMA_405B,
              Layout(128, 128, 16, 8192, 1, 8, 16, 8, gathered=True), flops=400e12),
)  # fmt: skip


TOKENS_A_PARAMETER: Final = 20
"""How long a model is trained here: Hoffmann et al. 2022 (arXiv:2203.15556)."""
LENGTH: Final = 4096
LEAST_MODEL_FLOPS_SHARE: Final = 0.15
"""Accelerators that would push MFU below this are left idle."""
COUNTS: Final = (8, 128, 1_024, 16_384, 100_000)
SHAPES: Final = (
    Shape("135 M", 30, 576, 9, 3, 1536, 49_152, head_width=64, tied=True),
    Shape("1 B", 16, 2048, 32, 8, 7168, 65_536, head_width=64, tied=True),
    Shape("7 B", 32, 4096, 32, 8, 13_312, 65_536),
    Shape("70 B", 80, 8192, 64, 8, 28_672, 65_536),
)


def expected_loss(parameters: float, tokens: float) -> float:
    """Return the loss in nats a token that a model ends with: Hoffmann et al. 2022, equation 10."""
    return 1.69 + 406.4 * math.pow(parameters, -0.34) + 410.7 * math.pow(tokens, -0.28)


def critical_batch(parameters: float) -> float:
    """Return the tokens a step beyond which more of them hardly save steps.

    Kaplan et al. 2020 (arXiv:2001.08361), equation 1.4, at the loss that training ends with.
    """
    loss = expected_loss(parameters, TOKENS_A_PARAMETER * parameters)
    return 2e8 * math.pow(loss, -1 / 0.21)


def training_seconds(shape: Shape, layout: Layout, on: Accelerator = H100) -> float:
    """Return how long `TOKENS_A_PARAMETER` tokens for each parameter take, without failures."""
    steps = TOKENS_A_PARAMETER * shape.parameters / layout.tokens
    return steps * step_seconds(shape, layout, on)


def best_layout(shape: Shape, accelerators: int, on: Accelerator = H100) -> Layout | None:
    """Return the simplest layout whose time is within 5 % of the least; None: nothing fits.

    Simple means little tensor and pipeline parallelism, then few accelerators.
    """
    fitting = [
        (training_seconds(shape, layout, on), layout)
        for layout in _layouts(shape, accelerators)
        if step_memory(shape, layout) <= MEMORY_SHARE * on.memory
        and cost(shape, layout, on).model_flops_share >= LEAST_MODEL_FLOPS_SHARE
    ]
    if not fitting:
        return None
    least = min(seconds for seconds, _ in fitting)
    close = [
        (layout.tensor * layout.pipeline, layout.accelerators, seconds, number)
        for number, (seconds, layout) in enumerate(fitting)
        if seconds <= 1.05 * least
    ]
    return fitting[min(close)[-1]][1]


def _layouts(shape: Shape, accelerators: int) -> Iterator[Layout]:
    rows = int(critical_batch(shape.parameters) // LENGTH)
    for tensor, pipeline in itertools.product((1, 2, 4, 8), (1, 2, 4, 8, 16)):
        most = accelerators // (tensor * pipeline)
        uneven = shape.heads % tensor or shape.key_value_heads % tensor
        if not most or uneven or shape.layers % pipeline:
            continue
        interleave = min(8, shape.layers // pipeline) if pipeline > 1 else 1
        for power in range(9):
            shards = min(2**power, LARGEST_SHARD_GROUP)
            data = min(most, rows) // shards * shards
            if not data:
                break
            for micro, recompute in itertools.product((1, 2, 4, 8), REPEATED):
                own = rows // data // micro * micro
                if own and (pipeline == 1 or micro == 1):
                    yield Layout(
                        data, shards, own, LENGTH, micro, tensor, pipeline, interleave, recompute
                    )


def costs_table(language: Language = "en") -> str:
    """Return the Markdown table of time and memory by model and accelerators."""
    words = _WORDS[language]
    lines = [words["header"], "|---|--:|--:|---|--:|--:|--:|--:|"]
    for shape, count in itertools.product(SHAPES, COUNTS):
        layout = best_layout(shape, count)
        if layout is None:
            lines.append(f"| {shape.name} | {count:,} | – | {words['none']} | – | – | – | – |")
            continue
        found = cost(shape, layout)
        cells = (
            shape.name,
            f"{count:,}",
            f"{layout.accelerators:,}",
            f"{layout.data:,} × {layout.tensor} × {layout.pipeline}",
            f"{layout.tokens / 1e6:.2g} M",
            f"{found.model_flops_share:.0%}",
            f"{found.memory / 1e9:.0f} GB",
            _duration(training_seconds(shape, layout), words),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def published_table(language: Language = "en") -> str:
    """Return the Markdown table of what was measured beside what the formulas say."""
    lines = [_WORDS[language]["published"], "|---|--:|--:|--:|---|"]
    for one in PUBLISHED:
        unit, scale = ("tokens/s", 1.0) if one.flops is None else ("TFLOP/s", 1e12)
        lines.append(
            f"| {one.what} | {one.measured / scale:,.0f} {unit} | {one.predicted / scale:,.0f} "
            f"| {one.predicted / one.measured:.2f} | {one.source} |"
        )
    return "\n".join(lines)


def _duration(seconds: float, words: Mapping[str, str]) -> str:
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {words[unit]}"
    return f"{seconds / 86_400:,.0f} {words['d']}"


_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "header": "| model | accelerators | at work | data × tensor × pipeline | tokens a step "
        "| MFU | memory each | time |",
        "published": "| run on H100s | published | formulas | ratio | source |",
        "none": "does not fit",
        "s": "s",
        "min": "min",
        "h": "h",
        "d": "days",
    },
    "ko": {
        "header": "| 모델 | 가속기 | 일하는 수 | 데이터 × 텐서 × 파이프라인 | 단계당 토큰 | MFU "
        "| 가속기당 메모리 | 시간 |",
        "published": "| H100에서 돌린 학습 | 발표된 값 | 공식 | 비율 | 출처 |",
        "none": "들어가지 않음",
        "s": "초",
        "min": "분",
        "h": "시간",
        "d": "일",
    },
}


if __name__ == "__main__":
    chosen: Language = "ko" if "ko" in sys.argv[1:] else "en"
    print(f"{costs_table(chosen)}\n\n{published_table(chosen)}")
