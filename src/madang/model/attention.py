"""Causal attention within segments, with rotary positions.

On a CPU the common kernels for it are made for long sequences and reach a third of the speed of a
matrix product on posts of a hundred tokens. Here the query heads that share a key head are laid
below one another, so that every product is one large batched matrix product; keys behind a block of
queries are left out; all segments are brought into that order at once, so that few operations are
left for each length; and what backward needs is kept where it is small and made again where it is
not.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from madang.model.pointwise import rotate, rotate_into
from madang.model.segments import Segments

_BLOCK: Final = 128
"""Positions whose queries are treated together."""
_KEPT: Final = 256
"""Segments up to this length keep their probabilities for backward."""


@torch.compiler.disable  # type: ignore[untyped-decorator]
def attend(qkv: Tensor, heads: int, rotary: Tensor, segments: Segments) -> Tensor:
    """Return softmax(query · key / sqrt(D)) · value within each segment, up to the token itself.

    `qkv` is `[T, heads + 2 · key_value_heads, D]`: queries, keys and values by head. `rotary`
    `[2, N, D / 2]` holds cosines and sines by position, at least as many as the longest segment
    has. Returns `[T, heads, D]`. Segments are padded inside at their ends, where no causal token
    sees it.
    """
    kernel = _Attention.apply if qkv.device.type == "cpu" else _attend_elsewhere
    return kernel(qkv, heads, rotary, segments)


def _attend_elsewhere(qkv: Tensor, heads: int, rotary: Tensor, segments: Segments) -> Tensor:
    keys = (qkv.shape[1] - heads) // 2
    outputs = []
    for part in _by_bucket(_laid(qkv, segments), segments):
        q, k, v = torch.split(part.transpose(1, 2), [heads, keys, keys], 1)
        table = rotary[:, : part.shape[1]]
        k, v = (x.repeat_interleave(heads // keys, 1) for x in (rotate(k, table), v))
        q = rotate(q, table)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        outputs.append(out.transpose(1, 2).flatten(0, 1))
    return _flat(torch.cat(outputs), segments)


class _Attention(torch.autograd.Function):
    """The kernel for CPUs.

    Inside a bucket of `n` segments of length `L`, with `K` key heads and `R` query heads for each:
    queries are `[n·K, L·R, D]`, keys and values `[n·K, L, D]`.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int, rotary: Tensor, segments: Segments) -> Tensor:
        keys = (qkv.shape[1] - heads) // 2
        layout = _layout(segments, heads, keys)
        laid = _turned(qkv, heads + keys, rotary, segments).flatten(0, 1)
        laid = laid.index_select(0, layout.rows)
        out = qkv.new_empty(heads * layout.positions, qkv.shape[2])
        unseen = _unseen(segments, qkv.dtype)
        kept: list[Tensor] = []
        parts = zip(*_parts(laid, heads, keys, segments), _views(out, keys, segments), strict=True)
        for q, k, v, place in parts:
            for block in reversed(_blocks(k.shape[1])):
                p = _probabilities(q, k, block, unseen)
                torch.bmm(p, v[:, : block.stop], out=place[:, _rows(block, q, k)])
                kept.append(p if k.shape[1] <= _KEPT else p.new_empty(0))
        ctx.save_for_backward(rotary, laid, unseen, *kept)
        ctx.heads, ctx.keys, ctx.segments, ctx.layout = heads, keys, segments, layout
        return out.index_select(0, layout.of_queries(heads)).view(-1, heads, qkv.shape[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        rotary, laid, unseen, *kept = ctx.saved_tensors
        heads, keys, segments, layout = ctx.heads, ctx.keys, ctx.segments, ctx.layout
        scale = 1 / math.sqrt(d_out.shape[2])
        # Padding has no gradient.
        d_mixed = d_out.new_zeros(heads * layout.positions, d_out.shape[2])
        d_mixed.index_copy_(0, layout.of_queries(heads), d_out.flatten(0, 1))
        d_laid = torch.empty_like(laid)
        probabilities = iter(kept)
        parts = zip(
            *_parts(laid, heads, keys, segments),
            *_parts(d_laid, heads, keys, segments),
            _views(d_mixed, keys, segments),
            strict=True,
        )
        for q, k, v, d_q, d_k, d_v, d_bucket in parts:
            # The last block, which sees every key, comes first; the others add to its gradients.
            for done, block in enumerate(reversed(_blocks(k.shape[1]))):
                beta = min(done, 1)
                kept_p = next(probabilities)
                p = kept_p if len(kept_p) else _probabilities(q, k, block, unseen)
                rows, seen = _rows(block, q, k), slice(block.stop)
                d_block = d_bucket[:, rows]
                d_p = torch.bmm(d_block, v[:, seen].transpose(1, 2))
                d_s = torch.ops.aten._softmax_backward_data(d_p, p, -1, p.dtype)
                d_q[:, rows].baddbmm_(d_s, k[:, seen], beta=0, alpha=scale)
                d_k[:, seen].baddbmm_(d_s.transpose(1, 2), q[:, rows], beta=beta, alpha=scale)
                d_v[:, seen].baddbmm_(p.transpose(1, 2), d_block, beta=beta)
        d_qkv = d_laid.index_select(0, layout.places.flatten()).view(
            -1, heads + 2 * keys, d_out.shape[2]
        )
        return _turned(d_qkv, heads + keys, rotary, segments, back=True), None, None, None


@dataclass(frozen=True, slots=True)
class _Layout:
    """The order in which the kernel wants the rows of queries, keys and values.

    A row is one token's query, key or value of one head. All queries come first, then all keys,
    then all values; among them the buckets follow one another, each as the kernel views it.
    """

    positions: int
    """Tokens in the buckets, padding included: `P`."""
    rows: Tensor
    """Which flat row lies at each place, int64 `[P · (heads + 2 · keys)]`."""
    places: Tensor
    """Where each flat row lies, int64 `[T, heads + 2 · keys]`, its copies in padding aside."""

    def of_queries(self, heads: int) -> Tensor:
        """Return where each query lies, int64 `[T · heads]`."""
        return self.places[:, :heads].flatten()


# Every layer of a model asks for the same one.
@functools.lru_cache(maxsize=1)
def _layout(segments: Segments, heads: int, keys: int) -> _Layout:
    repeats = heads // keys
    sizes = torch.tensor([b.segments * b.length for b in segments.buckets])
    lengths = torch.tensor([b.length for b in segments.buckets]).repeat_interleave(sizes)
    bucket_starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    at = torch.arange(len(lengths))
    offsets = (at - bucket_starts) % lengths
    starts, lengths, offsets = ((at - offsets)[:, None], lengths[:, None], offsets[:, None])
    queries, others = torch.arange(heads), torch.arange(keys)
    of_queries = (
        repeats * (keys * starts + queries // repeats * lengths + offsets) + queries % repeats
    )
    of_keys = keys * starts + others * lengths + offsets + heads * len(at)
    every = torch.cat((of_queries, of_keys, of_keys + keys * len(at)), 1)
    rows = torch.empty(every.numel(), dtype=torch.int64)
    tokens = at if segments.gather is None else segments.gather
    rows[every] = tokens[:, None] * every.shape[1] + torch.arange(every.shape[1])
    places = every if segments.scatter is None else every.index_select(0, segments.scatter)
    return _Layout(len(at), rows, places)


def _turned(
    qkv: Tensor, turning: int, rotary: Tensor, segments: Segments, *, back: bool = False
) -> Tensor:
    """Return `[T, heads + 2 · keys, D]`, its first `turning` heads turned by their positions."""
    cos, sin = rotary.index_select(1, segments.positions)[:, :, None]
    turned = torch.empty_like(qkv)
    rotate_into(turned[:, :turning], qkv[:, :turning], cos, -sin if back else sin)
    turned[:, turning:].copy_(qkv[:, turning:])
    return turned


def _parts(laid: Tensor, heads: int, keys: int, segments: Segments) -> tuple[list[Tensor], ...]:
    """Return the queries, the keys and the values of each bucket, as the kernel views them."""
    positions = len(laid) // (heads + 2 * keys)
    sections = torch.split(laid, [heads * positions, keys * positions, keys * positions])
    return tuple(_views(section, keys, segments) for section in sections)


def _views(rows: Tensor, keys: int, segments: Segments) -> list[Tensor]:
    """View the rows of each bucket as `[n·K, rows of a segment and key head, D]`."""
    buckets = segments.buckets
    each = len(rows) // sum(b.segments * b.length for b in buckets)
    parts = torch.split(rows, [each * b.segments * b.length for b in buckets])
    width = rows.shape[1]
    return [p.view(b.segments * keys, -1, width) for p, b in zip(parts, buckets, strict=True)]


def _unseen(segments: Segments, dtype: torch.dtype) -> Tensor:
    """Return a band from which the mask of every block is cut: see `_probabilities`."""
    lengths = [b.length for b in segments.buckets]
    last, size = max(_blocks(n)[-1].start for n in lengths), min(max(lengths), _BLOCK)
    return torch.full((size, last + size), -math.inf, dtype=dtype).triu_(last + 1)


def _rows(block: slice, q: Tensor, k: Tensor) -> slice:
    """Return the rows of a block's positions in queries `q`, whose keys are `k`."""
    repeats = q.shape[1] // k.shape[1]
    return slice(block.start * repeats, block.stop * repeats)


def _probabilities(q: Tensor, k: Tensor, block: slice, unseen: Tensor) -> Tensor:
    """Return what each query of a block gives to each key up to the block's end.

    `[n·K, block · R, block.stop]`. In row `i` of the band `unseen` the first `columns - rows + i`
    and one more are 0, the others -inf.
    """
    repeats = q.shape[1] // k.shape[1]
    first = unseen.shape[1] - unseen.shape[0] - block.start
    mask = unseen[: block.stop - block.start, first : first + block.stop]
    mask = mask if repeats == 1 else mask.repeat_interleave(repeats, 0)
    seen = k[:, : block.stop].transpose(1, 2)
    scores = torch.baddbmm(mask, q[:, _rows(block, q, k)], seen, alpha=1 / math.sqrt(q.shape[2]))
    return torch.softmax(scores, -1, out=scores)


def _laid(x: Tensor, segments: Segments) -> Tensor:
    """Lay flat tokens out in buckets, `[P, ...]`."""
    return x if segments.gather is None else x.index_select(0, segments.gather)


def _flat(x: Tensor, segments: Segments) -> Tensor:
    """Bring tokens in buckets back to the flat axis, `[T, ...]`."""
    return x if segments.scatter is None else x.index_select(0, segments.scatter)


def _by_bucket(x: Tensor, segments: Segments) -> list[Tensor]:
    """Return the part of each bucket, `[n, L, ...]`."""
    buckets = segments.buckets
    parts = torch.split(x, [b.segments * b.length for b in buckets])
    return [
        part.view(b.segments, b.length, *x.shape[1:])
        for part, b in zip(parts, buckets, strict=True)
    ]


def _blocks(length: int) -> list[slice]:
    """Divide a segment's positions into nearly equal blocks of at most _BLOCK."""
    count = -(-length // _BLOCK)
    size = -(-length // count)
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
