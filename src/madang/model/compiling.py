"""Compiled blocks."""

from __future__ import annotations

from madang.model.transformer import Transformer


def compile_blocks(model: Transformer) -> bool:
    """Compile (not yet)."""
    return False
