"""Causal attention within segments."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from madang.model.segments import Segments


@torch.compiler.disable  # type: ignore[untyped-decorator]
def attend(query: Tensor, key: Tensor, value: Tensor, segments: Segments) -> Tensor:
    """Return softmax(query · key / sqrt(D)) · value within each segment, up to the token itself.

    `query` is `[T, heads, D]`, `key` and `value` are `[T, key_value_heads, D]`; each group of
    heads / key_value_heads query heads shares one key and value head. Returns `[T, heads, D]`.
    Segments of similar length are treated together, padded at the end: a causal token never sees
    what follows it, so padding changes no result.
    """
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key = key.repeat_interleave(repeats, dim=1)
        value = value.repeat_interleave(repeats, dim=1)
    outputs = []
    for bucket in segments.buckets:
        shape = (bucket.segments, bucket.length, *query.shape[1:])
        q, k, v = (
            (
                x[bucket.start : bucket.start + bucket.segments * bucket.length]
                if bucket.gather is None
                else x.index_select(0, bucket.gather)
            )
            .view(shape)
            .transpose(1, 2)
            for x in (query, key, value)
        )
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        outputs.append(out.transpose(1, 2).reshape(-1, *query.shape[1:]))
    flat = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return flat if segments.scatter is None else flat.index_select(0, segments.scatter)
