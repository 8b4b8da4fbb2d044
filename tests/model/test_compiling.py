"""Compiled blocks compute what plain ones do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models import random_model, random_tokens

from madang.model import LoraConfig, Segments, add_lora
from madang.model.compiling import compile_blocks, has_compiler


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")
@pytest.mark.parametrize("adapters", [False, True])
def test_loss_and_gradients_stay(adapters: bool) -> None:
    torch.compiler.reset()
    model = random_model(layers=12)
    if adapters:
        add_lora(model, LoraConfig(rank=2), 0)
    found = []
    for compiled in (False, True):
        if compiled:
            assert compile_blocks(model)
        # Other documents of the same total need no further compilation.
        for lengths in ([5, 20, 7], [32]):
            tokens = random_tokens(32)
            loss = model(tokens, Segments.from_lengths(lengths), tokens)
            gradients = torch.autograd.grad(
                loss, [p for p in model.parameters() if p.requires_grad]
            )
            found.append((loss, *gradients))
    for plain, compiled_ in zip(found[:2], found[2:], strict=True):
        for ours, theirs in zip(plain, compiled_, strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")
def test_texts_of_any_length_are_read_between_steps() -> None:
    """An evaluation has far more lengths than torch compiles one function for."""
    torch.compiler.reset()
    counted = torch._dynamo.utils.counters["stats"]
    counted.clear()
    model = random_model()
    assert compile_blocks(model)
    tokens = random_tokens(32)
    model(tokens, Segments.from_lengths([32]), tokens).backward()
    assert counted["unique_graphs"] == 2
    with torch.inference_mode():
        for length in range(1, 32):
            read = tokens[:length]
            assert model(read, Segments.from_lengths([length]), read).isfinite()
    model(tokens, Segments.from_lengths([32]), tokens).backward()
    assert counted["unique_graphs"] == 2


def test_without_a_compiler_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    model = random_model()
    assert not compile_blocks(model)


def test_a_path_with_a_blank_in_it_leaves_compiling_out() -> None:
    assert not has_compiler(Path("/a folder/torch"))
