"""The transformer: Qwen3's dense layout, which without the norms of queries and keys is Llama's.

Pre-normalisation with RMSNorm, rotary positions in halves, grouped-query attention, SwiGLU, no
biases. Tokens lie on one flat axis `[T]`; `Segments` says which of them belong together, so that
nothing is padded and every layer but attention is a plain function of `[T, width]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from madang.model import cross_entropy
from madang.model.attention import attend
from madang.model.linear import Linear, project, project_gated
from madang.model.pointwise import rms_norm, rotary_table
from madang.model.segments import Segments

_EMBEDDING_STD: Final = 0.02


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a transformer; every count is a number of features, heads or tokens."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    key_value_heads: int
    head_width: int
    hidden: int
    """Width inside the feed-forward part."""
    qk_norm: bool = True
    """Normalise each head's queries and keys: Qwen3's layout; without: Llama's."""
    tied: bool = True
    """The output layer is the embedding's transpose."""
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-6
    context: int = 2048
    """Tokens that the model is meant to see at most; nothing here depends on it."""

    def __post_init__(self) -> None:
        counts = ("vocabulary", "width", "layers", "heads", "key_value_heads", "head_width")
        for name in (*counts, "hidden", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"a model's {name} must be at least 1, not {getattr(self, name)}")
        if self.heads % self.key_value_heads:
            raise ValueError(
                f"{self.heads} heads cannot share {self.key_value_heads} key and value heads evenly"
            )
        if self.head_width % 2:
            raise ValueError(f"a head's width must be even, not {self.head_width}")

    def matmul_parameters(self) -> int:
        """Weights that every token is multiplied with, the output layer included."""
        queries, keys = self.heads * self.head_width, self.key_value_heads * self.head_width
        block = self.width * (2 * queries + 2 * keys + 3 * self.hidden)
        return self.layers * block + self.vocabulary * self.width

    def parameters(self) -> int:
        """All weights, a tied output layer counted once."""
        norms = self.width * (2 * self.layers + 1)
        norms += 2 * self.head_width * self.layers if self.qk_norm else 0
        return self.matmul_parameters() + norms + (0 if self.tied else self.vocabulary * self.width)

    def flops_per_token(self, attended: float) -> float:
        """Operations of forward and backward for a token that sees `attended` tokens on average.

        Two for each weight in forward and four in backward, and the same for the two products of
        attention.
        """
        attention = 2 * self.layers * self.heads * self.head_width * attended
        return 6.0 * (self.matmul_parameters() + attention)


class RMSNorm(nn.Module):
    """Root mean square normalisation (arXiv:1910.07467) over the last axis."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with a root mean square of 1, scaled by the weight."""
        return rms_norm(x, self.weight, self.epsilon)


class Attention(nn.Module):
    """The projections around attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        queries, keys = config.heads * config.head_width, config.key_value_heads * config.head_width
        self.q_proj = Linear(config.width, queries)
        self.k_proj = Linear(config.width, keys)
        self.v_proj = Linear(config.width, keys)
        self.o_proj = Linear(queries, config.width)
        if config.qk_norm:
            self.q_norm = RMSNorm(config.head_width, config.norm_epsilon)
            self.k_norm = RMSNorm(config.head_width, config.norm_epsilon)
        self.config = config

    def forward(self, x: Tensor) -> Tensor:
        """Return queries, keys and values by head, `[T, heads + 2 · key_value_heads, D]`."""
        c = self.config
        qkv = project(x, (self.q_proj, self.k_proj, self.v_proj)).view(len(x), -1, c.head_width)
        if not c.qk_norm:
            return qkv
        q, k, v = torch.split(qkv, [c.heads, c.key_value_heads, c.key_value_heads], 1)
        return torch.cat((self.q_norm(q), self.k_norm(k), v), 1)


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202): down(silu(gate(x)) · up(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(config.width, config.hidden)
        self.up_proj = Linear(config.width, config.hidden)
        self.down_proj = Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[T, width]` for `x` `[T, width]`."""
        return project_gated(project(x, (self.gate_proj, self.up_proj)), self.down_proj)


class Block(nn.Module):
    """One layer: attention and feed-forward, each added to what came in."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.norm_epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_epsilon)
        self.mlp = FeedForward(config)

    def before(self, x: Tensor) -> Tensor:
        """Return what attention takes: queries, keys and values by head."""
        return self.self_attn(self.input_layernorm(x))  # type: ignore[no-any-return]

    def after(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return the block's output from its input and what attention gave."""
        x = x + self.self_attn.o_proj(attended.flatten(1))
        return x + self.mlp(self.post_attention_layernorm(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, rotary: Tensor, segments: Segments) -> Tensor:
        """Return `[T, width]` for `x` `[T, width]`."""
        attended = attend(self.before(x), self.self_attn.config.heads, rotary, segments)
        return self.after(x, attended)


class Transformer(nn.Module):
    """A decoder-only language model.

    Parameters bear the names of Hugging Face's Qwen3 and Llama, less the leading `model.`. The
    weights are those of `initialise(0)` until others are drawn or loaded.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_epsilon)
        if not config.tied:
            self.lm_head = Linear(config.width, config.vocabulary)
        self.initialise(0)

    def initialise(self, seed: int) -> None:
        """Draw every weight anew; the same for a seed whatever the number of threads or the dtype.

        - Norms are 1.
        - Matrices that read the residual stream are normal with standard deviation 1/sqrt(in), so
          that their outputs start with variance 1.
        - Matrices that write to it (o_proj, down_proj) are 0: every block starts as the identity.
        - The embedding is normal with standard deviation 0.02, which keeps the first logits near 0
          where it is also the output layer; an untied output layer is 0, so that the first loss is
          log(vocabulary).
        """
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.is_meta:
                    continue
                if parameter.ndim == 1:
                    parameter.fill_(1.0)
                elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                    parameter.zero_()
                else:
                    std = (
                        _EMBEDDING_STD
                        if name == "embed_tokens.weight"
                        else parameter.shape[1] ** -0.5
                    )
                    drawn = torch.empty(parameter.shape, dtype=torch.float32)
                    parameter.copy_(drawn.normal_(0.0, std, generator=generator))

    @property
    def head(self) -> Tensor:
        """The output layer's weight `[V, width]`."""
        weight = self.embed_tokens.weight if self.config.tied else self.lm_head.weight
        assert isinstance(weight, Tensor)
        return weight

    def hidden(self, tokens: Tensor, segments: Segments) -> Tensor:
        """Return the normalised states `[T, width]` from which the next tokens are read.

        `tokens` is int64 `[T]`.
        """
        x = self.embed_tokens(tokens)
        c = self.config
        rotary = rotary_table(max(segments.lengths), c.head_width, c.rope_base, x)
        for layer in self.layers:
            x = layer(x, rotary, segments)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Return `[..., V]` for states `[..., width]`."""
        return functional.linear(hidden, self.head)

    def forward(self, tokens: Tensor, segments: Segments, targets: Tensor) -> Tensor:
        """Return the summed cross-entropy in nats of the targets that are not -100.

        `tokens` and `targets` are int64 `[T]`.
        """
        hidden = self.hidden(tokens, segments)
        return cross_entropy.summed_cross_entropy(hidden, self.head, targets)

    def log_probabilities(self, tokens: Tensor, segments: Segments, targets: Tensor) -> Tensor:
        """Return each target's log-probability in nats, `[T]`; 0 where the target is -100."""
        hidden = self.hidden(tokens, segments)
        return cross_entropy.log_probabilities(hidden, self.head, targets)
