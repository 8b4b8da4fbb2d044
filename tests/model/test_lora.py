"""Adapters: gradients, merging, and PEFT's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from models import in_transformers, pieces, random_model, random_tokens
from torch import Tensor, nn

from madang.model import (
    LoraConfig,
    Segments,
    Transformer,
    add_lora,
    has_lora,
    load_adapter,
    lora_state,
    merge_lora,
    merged_state,
    save_adapter,
)
from madang.model.linear import Linear

LENGTHS = [5, 20, 3]


def _adapted(
    dtype: torch.dtype = torch.float64, targets: str | tuple[str, ...] = "all"
) -> Transformer:
    """A model whose adapters change something."""
    model = random_model(dtype, qk_norm=False)
    add_lora(model, LoraConfig(rank=4, alpha=8.0, targets=targets), seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            drawn = torch.empty(parameter.shape).normal_(0, 0.1, generator=generator)
            parameter.data.copy_(drawn)
    return model


def _loss(model: Transformer) -> Tensor:
    tokens = random_tokens(sum(LENGTHS))
    found = model(tokens, Segments.from_lengths(LENGTHS), tokens.roll(1))
    assert isinstance(found, Tensor)
    return found


class _PlainAdapter(nn.Module):
    """y = x Wᵀ + s (x Aᵀ) Bᵀ, as PEFT computes it."""

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        layer = self.linear
        y = x @ layer.weight.T
        if layer.lora_a is None or layer.lora_b is None:
            return y
        return y + layer.scale * (x @ layer.lora_a.T) @ layer.lora_b.T


@pytest.mark.parametrize("targets", ["all", ("q_proj", "v_proj", "up_proj"), ("o_proj",)])
def test_gradients_equal_a_plain_adapters(targets: str | tuple[str, ...]) -> None:
    model = _adapted(targets=targets)
    loss = _loss(model)
    loss.backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert all(parameter.grad is None for parameter in frozen)
    assert all(name.endswith(("lora_a", "lora_b")) for name in found)

    # The same model in transformers, each linear layer in plain operations.
    theirs = in_transformers_with_adapters(model)
    tokens = random_tokens(sum(LENGTHS))
    logits = torch.cat([theirs(tokens[piece][None]).logits[0] for piece in pieces(LENGTHS)])
    expected = nn.functional.cross_entropy(logits, tokens.roll(1), reduction="sum")
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(expected, [parameters[name] for name in found])
    # transformers computes rotary positions and norms of float64 models in float32.
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-5)
    for (name, gradient), wanted in zip(found.items(), gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-4, msg=name)


def in_transformers_with_adapters(model: Transformer) -> nn.Module:
    base = random_model(torch.float64, qk_norm=False)
    theirs = in_transformers(base)
    for name, layer in model.named_modules():
        if isinstance(layer, Linear):
            theirs.model.set_submodule(name, _PlainAdapter(layer))
    assert isinstance(theirs, nn.Module)
    return theirs


def test_gradients_are_those_of_finite_differences() -> None:
    layer = Linear(5, 4).double()
    layer.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    layer.weight.requires_grad_(False)
    layer.scale = 1.7
    generator = torch.Generator().manual_seed(2)
    shapes = [(6, 5), (2, 5), (4, 2)]
    x, a, b = (
        torch.randn(s, dtype=torch.float64, generator=generator, requires_grad=True) for s in shapes
    )

    def forward(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        # Parameters would cut the graph.
        layer._parameters["lora_a"], layer._parameters["lora_b"] = a, b  # type: ignore[assignment]
        return layer(x)  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(forward, (x, a, b))


def test_a_new_adapter_changes_nothing_and_is_the_seeds() -> None:
    model, other = random_model(), random_model()
    before = _loss(model).item()
    add_lora(model, LoraConfig(), seed=5)
    add_lora(other, LoraConfig(), seed=5)
    assert _loss(model).item() == before
    assert has_lora(model)
    assert len(lora_state(model)) == 2 * 2 * 7
    for name, tensor in lora_state(model).items():
        assert torch.equal(tensor, lora_state(other)[name])
        assert bool(tensor.any()) == ("lora_A" in name)


def test_merging_changes_no_result_and_frees_the_weights() -> None:
    model = _adapted()
    before = _loss(model)
    state = merged_state(model)
    assert has_lora(model)
    merge_lora(model)
    torch.testing.assert_close(_loss(model), before)
    assert not has_lora(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert state.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])


@pytest.mark.parametrize("targets", ["all", ("q_proj", "down_proj")])
def test_an_adapter_is_written_in_pefts_format_and_read_back(
    targets: str | tuple[str, ...], tmp_path: Path
) -> None:
    model = _adapted(torch.float32, targets)
    save_adapter(model, tmp_path, base="some/base")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 8.0)
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in lora_state(model)
    other = random_model(qk_norm=False)
    load_adapter(other, tmp_path)
    assert torch.equal(_loss(other), _loss(model))


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    model = random_model(qk_norm=False)
    with pytest.raises(ValueError, match="no adapter to save"):
        save_adapter(model, tmp_path)
    with pytest.raises(ValueError, match="rank of an adapter"):
        add_lora(model, LoraConfig(rank=0), 0)
    with pytest.raises(ValueError, match=r"not on lm_head"):
        add_lora(model, LoraConfig(targets=("lm_head",)), 0)
    add_lora(model, LoraConfig(rank=2), 0)
    with pytest.raises(ValueError, match="already"):
        add_lora(model, LoraConfig(), 0)
    save_adapter(model, tmp_path)
    other = random_model(qk_norm=False, layers=1)
    with pytest.raises(ValueError, match="does not fit the model"):
        load_adapter(other, tmp_path)
    assert not has_lora(other)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(ValueError, match="use_dora, which is not supported"):
        load_adapter(other, tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match="not an adapter's configuration"):
        load_adapter(other, tmp_path)
