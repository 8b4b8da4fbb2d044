"""How long a training step takes on a cluster and how much memory, from formulas.

Arithmetic, memory traffic beside it, exchange of weights, gradients and activations, and the
pipeline's bubble are added up for one layout. The constants are shared by all models and sizes;
`costs.PUBLISHED` holds them against measured throughputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

Recompute = Literal["none", "selective", "full"]

MATMUL_SHARE: Final = 0.60
"""Of the peak, what large matrix products reach in training (bfloat16)."""
ATTENTION_SHARE: Final = 0.35
"""Of the peak, what attention reaches: FlashAttention-2 on an H100 (arXiv:2407.08608)."""
ELEMENTWISE_BYTES: Final = 440.0
"""Memory traffic of a token, layer and unit of width beside matrix products, forward and back."""
LINK_SHARE: Final = 0.7
"""Of a link's bandwidth, what collectives reach."""
EXPOSED_SHARE: Final = 0.25
"""Of the exchange of weights and gradients, what is not hidden behind arithmetic."""
HOP_SECONDS: Final = 4e-6
"""Latency of one hop of a ring."""
LAYER_SECONDS: Final = 1e-4
"""What a layer takes at the least, forward and back: the launches of its kernels."""
STATE_BYTES: Final = 16
"""A parameter's weight, gradient and two moments of Adam, all float32; sharded."""
REPEATED: Final[Mapping[Recompute, float]] = {"none": 0.0, "selective": 0.5, "full": 1.0}
"""Of the forward pass, what is computed again in the backward pass."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Peak in bfloat16 FLOP/s, memory in bytes, and its links in bytes a second, one direction."""

    name: str
    peak: float
    memory: float
    memory_bandwidth: float
    node_link: float
    network: float
    node: int = 8


H100: Final = Accelerator("H100 SXM, 400 Gb/s", 989e12, 80e9, 3.35e12, 450e9, 50e9)
# What torchtitan measured on; its authors give no peak of its own and count with that of the SXM.
H100_HBM2E: Final = replace(H100, name="H100, HBM2e", memory=96e9, memory_bandwidth=2.4e12)


@dataclass(frozen=True, slots=True)
class Shape:
    """A transformer in the Qwen3 or Llama layout."""

    name: str
    layers: int
    width: int
    heads: int
    key_value_heads: int
    hidden: int
    vocabulary: int
    head_width: int = 128
    tied: bool = False

    @property
    def block_parameters(self) -> int:
        """Weights of one layer's matrices."""
        attention = 2 * (self.heads + self.key_value_heads) * self.head_width
        return self.width * (attention + 3 * self.hidden)

    @property
    def matmul_parameters(self) -> int:
        """Weights that every token is multiplied with, the output layer included."""
        return self.layers * self.block_parameters + self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All weights, without the few of norms."""
        return self.matmul_parameters + (0 if self.tied else self.vocabulary * self.width)

    def attention_flops(self, length: int) -> float:
        """Operations a token of causal attention, forward; rows of `length` tokens."""
        return 2.0 * self.layers * self.heads * self.head_width * length

    def model_flops(self, length: int) -> float:
        """Operations a token, forward and backward, that the model needs: 6 N and attention."""
        return 6.0 * self.matmul_parameters + 3 * self.attention_flops(length)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a step is spread: `data` ranks of `tensor` x `pipeline` accelerators each.

    Of the data ranks, each `shards` share one copy of weights and optimizer states. A data rank
    computes `rows` rows of `length` tokens a step, `micro_rows` at a time, and each pipeline rank
    holds `interleave` pieces of the model.
    """

    data: int
    shards: int
    rows: int
    length: int
    micro_rows: int = 1
    tensor: int = 1
    pipeline: int = 1
    interleave: int = 1
    recompute: Recompute = "none"
    gathered: bool = False
    """Gathered weights are kept from forward to backward (ZeRO 2) instead of gathered twice."""

    @property
    def accelerators(self) -> int:
        """Accelerators at work."""
        return self.data * self.tensor * self.pipeline

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a data rank's step."""
        return self.rows // self.micro_rows

    @property
    def tokens(self) -> int:
        """Tokens of a whole step."""
        return self.data * self.rows * self.length


@dataclass(frozen=True, slots=True)
class Cost:
    """What a layout takes: seconds a step, bytes an accelerator, and what that comes to."""

    seconds: float
    memory: float
    tokens_per_second: float
    """Of one accelerator."""
    model_flops_share: float
    """MFU: the model's own operations over the peak."""


def cost(shape: Shape, layout: Layout, accelerator: Accelerator = H100) -> Cost:
    """Return time and memory of a step."""
    seconds = step_seconds(shape, layout, accelerator)
    throughput = layout.tokens / seconds / layout.accelerators
    share = throughput * shape.model_flops(layout.length) / accelerator.peak
    return Cost(seconds, step_memory(shape, layout), throughput, share)


def step_seconds(shape: Shape, layout: Layout, on: Accelerator) -> float:
    """Return the seconds of a step: arithmetic, exchange that is not hidden, pipeline's bubble."""
    tokens = layout.micro_rows * layout.length
    ways = layout.tensor * layout.pipeline
    again = REPEATED[layout.recompute]
    # Selective recomputation keeps the results of attention (Korthikanti et al. 2022,
    # arXiv:2205.05198); its backward computes scores once more by itself: 2.5 times the forward.
    attention = shape.attention_flops(layout.length) * (3.5 + (again if again == 1 else 0))
    arithmetic = (
        2.0 * shape.matmul_parameters * (3 + again) / (on.peak * MATMUL_SHARE)
        + attention / (on.peak * ATTENTION_SHARE)
        + ELEMENTWISE_BYTES * shape.layers * shape.width * (3 + again) / 3 / on.memory_bandwidth
    )
    least = shape.layers / layout.pipeline * LAYER_SECONDS
    compute = max(tokens * arithmetic / ways, least) + _tensor_seconds(shape, layout, on, tokens)
    bubble = (layout.pipeline - 1) / (layout.micro_batches * layout.interleave)
    exchange = _weights_seconds(shape, layout, on)
    busy = layout.micro_batches * compute
    return busy * (1 + bubble) + max(EXPOSED_SHARE * exchange, exchange - busy)


def _tensor_seconds(shape: Shape, layout: Layout, on: Accelerator, tokens: int) -> float:
    """Return the seconds in which a micro-batch's activations are exchanged in a tensor group.

    Four collectives forward and four back in each layer (sequence parallel), none hidden.
    """
    moved = 8 * 2 * shape.width * tokens * (layout.tensor - 1) / layout.tensor
    return shape.layers / layout.pipeline * moved / (on.node_link * LINK_SHARE)


def _weights_seconds(shape: Shape, layout: Layout, on: Accelerator) -> float:
    """Return the seconds a step in which weights are gathered and gradients are summed."""
    if layout.data == 1:
        return 0.0
    # The ring of one shard group enters and leaves a node once for all of its members there.
    inside = min(layout.shards, max(1, on.node // layout.tensor))
    network = on.network * inside * LINK_SHARE
    within = on.node_link * LINK_SHARE
    link = within if layout.shards * layout.tensor <= on.node else network
    held = shape.parameters / (layout.tensor * layout.pipeline)
    gathers = 1 if layout.gathered else 2 * layout.micro_batches
    hops = (layout.shards - 1) * HOP_SECONDS * shape.layers / layout.pipeline
    seconds = gathers * (2 * held / link + hops) + 4 * held / link + hops
    if layout.shards == 1:
        seconds = 0.0
    if layout.data > layout.shards:
        seconds += 2 * 4 * held / layout.shards / (on.network * LINK_SHARE)
    return seconds


def step_memory(shape: Shape, layout: Layout) -> float:
    """Return the bytes an accelerator needs at the most."""
    ways = layout.tensor * layout.pipeline
    states = STATE_BYTES * shape.parameters / (ways * layout.shards)
    if layout.shards > 1:
        # In bfloat16: two layers at a time, or all of them.
        kept = shape.parameters if layout.gathered else 2 * shape.block_parameters
        states += 2 * kept / (ways if layout.gathered else layout.tensor)
    narrow = 2 * shape.key_value_heads * shape.head_width
    everything = 2 * (6 * shape.width + narrow + 4 * shape.hidden)
    saved = {"none": everything, "selective": everything / 2, "full": 2 * shape.width}
    tokens = layout.micro_rows * layout.length / layout.tensor
    in_flight = 1 + (layout.pipeline - 1) / (layout.pipeline * layout.interleave)
    activations = tokens * shape.layers * saved[layout.recompute] * in_flight
    return states + activations + tokens * everything
