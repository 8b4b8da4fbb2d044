"""The transformer gives what transformers gives, packed, padded and whatever stands beside."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from models import in_transformers, pieces, random_model, random_tokens, small_config
from torch import Tensor
from torch.nn import functional

from madang.model import ModelConfig, Segments, Transformer

LENGTHS = (5, 17, 1, 40, 5, 5, 20, 150)
LAYOUTS = [
    {"qk_norm": True, "tied": True},
    {"qk_norm": True, "tied": False, "key_value_heads": 4},
    {"qk_norm": False, "tied": True, "key_value_heads": 1},
    {"qk_norm": False, "tied": False, "rope_base": 100_000.0, "norm_epsilon": 1e-5},
    {"qk_norm": False, "width": 96, "heads": 3, "key_value_heads": 3, "head_width": 16},
]


def _targets(tokens: Tensor) -> Tensor:
    """The next token of the same document, with some left out."""
    targets = torch.full_like(tokens, -100)
    for piece in pieces(LENGTHS):
        targets[piece][:-1] = tokens[piece][1:]
    targets[::7] = -100
    return targets


def _gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    return {
        name.removeprefix("model."): parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packed_segments_equal_transformers_on_each_document(layout: dict[str, Any]) -> None:
    model = random_model(**layout)
    theirs = in_transformers(model)
    tokens = random_tokens(sum(LENGTHS))
    targets = _targets(tokens)
    segments = Segments.from_lengths(LENGTHS)

    logits = model.logits(model.hidden(tokens, segments))
    loss = model(tokens, segments, targets)
    loss.backward()

    expected = torch.cat([theirs(tokens[piece][None]).logits[0] for piece in pieces(LENGTHS)])
    expected_loss = functional.cross_entropy(expected, targets, reduction="sum")
    expected_loss.backward()
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-4)
    found, wanted = _gradients(model), _gradients(theirs)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("layout", LAYOUTS[:1] + LAYOUTS[3:4])
def test_packed_segments_equal_transformers_on_a_padded_batch(layout: dict[str, Any]) -> None:
    model = random_model(**layout)
    theirs = in_transformers(model)
    tokens = random_tokens(sum(LENGTHS))
    targets = _targets(tokens)
    loss = model(tokens, Segments.from_lengths(LENGTHS), targets)
    loss.backward()

    rows, longest = len(LENGTHS), max(LENGTHS)
    padded = torch.zeros(rows, longest, dtype=torch.int64)
    mask, wanted = torch.zeros_like(padded), torch.full_like(padded, -100)
    for row, piece in enumerate(pieces(LENGTHS)):
        length = LENGTHS[row]
        padded[row, :length], wanted[row, :length] = tokens[piece], targets[piece]
        mask[row, :length] = 1
    logits = theirs(padded, attention_mask=mask).logits
    expected = functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum"
    )
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    for name, gradient in _gradients(theirs).items():
        torch.testing.assert_close(_gradients(model)[name], gradient, rtol=1e-4, atol=1e-4)


def test_a_segment_depends_on_nothing_beside_it_and_on_nothing_later() -> None:
    model = random_model(torch.float64)
    segments = Segments.from_lengths(LENGTHS)
    tokens = random_tokens(sum(LENGTHS))
    before = model.hidden(tokens, segments)
    changed = tokens.clone()
    piece = pieces(LENGTHS)[3]
    place = piece.start + 10
    changed[place] = (changed[place] + 1) % 301
    moved = (model.hidden(changed, segments) - before).abs().amax(1) > 1e-12
    assert not moved[: piece.start + 10].any()
    assert moved[piece.start + 10 : piece.stop].all()
    assert not moved[piece.stop :].any()


def test_log_probabilities_sum_to_the_loss_and_have_its_gradient() -> None:
    model = random_model(torch.float64)
    tokens = random_tokens(sum(LENGTHS))
    targets, segments = _targets(tokens), Segments.from_lengths(LENGTHS)
    loss = model(tokens, segments, targets)
    loss.backward()
    expected = _gradients(model)
    model.zero_grad()
    each = model.log_probabilities(tokens, segments, targets)
    assert (each[targets == -100] == 0).all()
    torch.testing.assert_close(-each.sum(), loss)
    (-each.sum()).backward()
    torch.testing.assert_close(_gradients(model), expected)


def test_initialisation_is_the_seeds_whatever_the_threads_and_the_dtype() -> None:
    threads = torch.get_num_threads()
    try:
        states = []
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(count)
            model = Transformer(small_config(width=256, hidden=512))
            model.initialise(3)
            states.append(model.state_dict())
        double = Transformer(small_config(width=256, hidden=512)).double()
        double.initialise(3)
    finally:
        torch.set_num_threads(threads)
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
        assert torch.equal(tensor, double.state_dict()[name].float()), name
    double.initialise(4)
    assert not torch.equal(double.embed_tokens.weight.float(), states[0]["embed_tokens.weight"])


def test_a_new_model_starts_as_the_identity_and_without_an_opinion() -> None:
    model = Transformer(small_config(tied=False))
    model.initialise(0)
    tokens = random_tokens(50)
    segments = Segments.from_lengths([50])
    assert model(tokens, segments, tokens).item() == pytest.approx(50 * math.log(301), rel=1e-6)
    x = model.embed_tokens(tokens)
    assert torch.equal(model.hidden(tokens, segments), model.norm(x))
    tied = Transformer(small_config(width=256))
    loss = tied(tokens, segments, random_tokens(50, seed=1)).item() / 50
    assert abs(loss - math.log(301)) < 0.5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_are_those_of_the_weights(layout: dict[str, Any]) -> None:
    model = random_model(**layout)
    assert model.config.parameters() == sum(p.numel() for p in model.parameters())
    matrices = sum(p.numel() for n, p in model.named_parameters() if "proj" in n or "head" in n)
    head = model.config.vocabulary * model.config.width if model.config.tied else 0
    assert model.config.matmul_parameters() == matrices + head
    attention = 4 * model.config.layers * model.config.heads * model.config.head_width * 10
    assert model.config.flops_per_token(10) == 3 * (
        2 * model.config.matmul_parameters() + attention
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": 0}, "layers must be at least 1"),
        ({"heads": 4, "key_value_heads": 3}, "evenly"),
        ({"head_width": 7}, "even"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small_config(**changes)


def test_everything_works_in_float64() -> None:
    model = random_model(torch.float64)
    tokens = random_tokens(30)
    loss = model(tokens, Segments.from_lengths([10, 20]), tokens)
    loss.backward()
    assert loss.dtype == torch.float64
    assert all(gradient.dtype == torch.float64 for gradient in _gradients(model).values())
    assert isinstance(model.config, ModelConfig)
