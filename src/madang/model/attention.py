"""Causal attention within segments, with rotary positions.

On a CPU the common kernels for it are made for long sequences and reach a third of the speed of a
matrix product on posts of a hundred tokens. Here the query heads that share a key head are laid
below one another, so that every product is one large batched matrix product; keys behind a block of
queries are left out; rotation happens on the way into that layout; and what backward needs is kept
where it is small and made again where it is not.
"""

from __future__ import annotations

import math
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
        laid = _laid(qkv, segments)
        out = qkv.new_empty(len(laid), heads, qkv.shape[2])
        kept: list[Tensor] = []
        parts = zip(_by_bucket(laid, segments), _by_bucket(out, segments), strict=True)
        for part, place in parts:
            q, k, v = _by_key_head(part, heads, keys, rotary)
            found = []
            probabilities = []
            for block in _blocks(k.shape[1]):
                p = _probabilities(q, k, block)
                found.append(torch.bmm(p, v[:, : block.stop]))
                probabilities.append(p)
            mixed = found[0] if len(found) == 1 else torch.cat(found, 1)
            _grouped(place, keys).copy_(mixed.view(_grouped(place, keys).shape))
            kept += [q, k, v]
            kept += probabilities if k.shape[1] <= _KEPT else [q.new_empty(0)] * len(found)
        ctx.save_for_backward(rotary, *kept)
        ctx.heads, ctx.keys, ctx.segments = heads, keys, segments
        return _flat(out, segments)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        rotary, *kept = ctx.saved_tensors
        heads, keys, segments = ctx.heads, ctx.keys, ctx.segments
        scale = 1 / math.sqrt(d_out.shape[2])
        if segments.scatter is not None:
            # Padding has no gradient.
            padded = d_out.new_zeros(len(segments.gather), *d_out.shape[1:])
            d_out = padded.index_copy_(0, segments.scatter, d_out)
        d_laid = d_out.new_empty(len(d_out), heads + 2 * keys, d_out.shape[2])
        remaining = iter(kept)
        parts = zip(_by_bucket(d_laid, segments), _by_bucket(d_out, segments), strict=True)
        for place, d_part in parts:
            q, k, v = (next(remaining) for _ in range(3))
            blocks = _blocks(k.shape[1])
            probabilities = [next(remaining) for _ in blocks]
            d_mixed = _grouped(d_part, keys).reshape(q.shape)
            repeats = heads // keys
            d_q: list[Tensor] = []
            d_k = d_v = torch.empty(0)
            # From the last block on, whose gradients reach every key.
            for block, kept_p in zip(blocks[::-1], probabilities[::-1], strict=True):
                rows = slice(block.start * repeats, block.stop * repeats)
                p = kept_p if len(kept_p) else _probabilities(q, k, block)
                d_block = d_mixed[:, rows]
                d_p = torch.bmm(d_block, v[:, : block.stop].transpose(1, 2))
                d_s = torch.ops.aten._softmax_backward_data(d_p, p, -1, p.dtype).mul_(scale)
                d_q.append(torch.bmm(d_s, k[:, : block.stop]))
                d_k_part = torch.bmm(d_s.transpose(1, 2), q[:, rows])
                d_v_part = torch.bmm(p.transpose(1, 2), d_block)
                if block is blocks[-1]:
                    d_k, d_v = d_k_part, d_v_part
                else:
                    d_k[:, : block.stop] += d_k_part
                    d_v[:, : block.stop] += d_v_part
            whole_q = d_q[0] if len(d_q) == 1 else torch.cat(d_q[::-1], 1)
            _from_key_head(place, whole_q, d_k, d_v, heads, keys, rotary)
        return _flat(d_laid, segments), None, None, None


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


def _grouped(x: Tensor, keys: int) -> Tensor:
    """View `[n, L, keys · R, D]` as `[n, keys, L, R, D]`."""
    return x.view(*x.shape[:2], keys, -1, x.shape[3]).transpose(1, 2)


def _by_key_head(
    part: Tensor, heads: int, keys: int, rotary: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return turned queries, turned keys, and values of `[n, L, heads + 2 · keys, D]`."""
    segments, length, _, width = part.shape
    source_q, source_k, source_v = torch.split(part, [heads, keys, keys], 2)
    cos, sin = rotary[:, :length]
    q = part.new_empty(segments, keys, length, heads // keys, width)
    rotate_into(q, _grouped(source_q, keys), cos[:, None], sin[:, None])
    k = part.new_empty(segments, keys, length, width)
    rotate_into(k, source_k.transpose(1, 2), cos, sin)
    v = source_v.transpose(1, 2).reshape(-1, length, width)
    return q.view(segments * keys, -1, width), k.view(-1, length, width), v


def _from_key_head(
    place: Tensor, q: Tensor, k: Tensor, v: Tensor, heads: int, keys: int, rotary: Tensor
) -> None:
    """Write gradients back to `[n, L, heads + 2 · keys, D]`, turned the other way."""
    segments, length, _, width = place.shape
    place_q, place_k, place_v = torch.split(place, [heads, keys, keys], 2)
    cos, sin = rotary[:, :length]
    grouped = _grouped(place_q, keys)
    rotate_into(grouped, q.view(grouped.shape), cos[:, None], -sin[:, None])
    rotate_into(place_k.transpose(1, 2), k.view(segments, keys, length, width), cos, -sin)
    place_v.transpose(1, 2).copy_(v.view(segments, keys, length, width))


def _probabilities(q: Tensor, k: Tensor, block: slice) -> Tensor:
    """Return what each query of a block gives to each key up to the block's end.

    `[n·K, block · R, block.stop]`.
    """
    width, repeats = q.shape[2], q.shape[1] // k.shape[1]
    rows = slice(block.start * repeats, block.stop * repeats)
    scores = torch.bmm(q[:, rows], k[:, : block.stop].transpose(1, 2)).mul_(1 / math.sqrt(width))
    length = block.stop - block.start
    unseen = torch.full((length, length), -math.inf, dtype=q.dtype).triu_(1)[:, None]
    scores.view(len(q), length, repeats, block.stop)[..., block.start :].add_(unseen)
    return torch.softmax(scores, -1, out=scores)
