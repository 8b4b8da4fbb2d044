"""The optimizer's steps against references in float64."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_plan

from madang.training.distributed import World
from madang.training.muon import ITERATIONS, QUINTIC, orthogonalise, shape_scale
from madang.training.optimizer import Optimizer, clip, role_of


def reference(matrix: torch.Tensor) -> torch.Tensor:
    """The quintic on the singular values themselves, in float64."""
    a, b, c = QUINTIC
    u, s, vt = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm()
    for _ in range(ITERATIONS):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag(s) @ vt


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 1000))
def test_orthogonalise_equals_the_polynomial_of_the_singular_values(
    rows: int, columns: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    stack = torch.randn(3, rows, columns, generator=generator)
    found = orthogonalise(stack)
    assert found.dtype == torch.float32
    for one, matrix in zip(found, stack, strict=True):
        torch.testing.assert_close(one.double(), reference(matrix), rtol=0, atol=2e-4)
    # A matrix' result does not depend on the ones beside it, nor on its scale.
    torch.testing.assert_close(orthogonalise(stack[:1] * 1000)[0], found[0], rtol=0, atol=2e-4)


def test_singular_values_end_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    found = orthogonalise(torch.randn(2, 64, 160, generator=generator))
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_a_matrix_of_zeros_stays_where_it_is() -> None:
    assert torch.equal(orthogonalise(torch.zeros(1, 8, 4)), torch.zeros(1, 8, 4))


def test_steps_equal_a_float64_reference() -> None:
    """Nesterov momentum, shape-scaled rates, decoupled decay; AdamW as Loshchilov & Hutter."""
    plan = tiny_plan(weight_decay=0.1, clip=0.0)
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "block.a": (24, 16),
        "block.b": (24, 16),
        "embed_tokens.weight": (plan.vocabulary, 16),
        "norm": (16,),
    }
    parameters = {
        name: torch.nn.Parameter(torch.randn(shape, generator=generator))
        for name, shape in shapes.items()
    }
    expected = {name: one.detach().double().clone() for name, one in parameters.items()}
    momenta = {name: torch.zeros_like(one) for name, one in expected.items()}
    squares = {name: torch.zeros_like(one) for name, one in expected.items()}
    optimizer = Optimizer(parameters.items(), plan)
    for step in range(4):
        factor = 1 - step / 8
        for name, parameter in parameters.items():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            gradient, m = parameter.grad.double(), momenta[name]
            if name.startswith("block"):
                m.mul_(plan.momentum).add_(gradient, alpha=1 - plan.momentum)
                ahead = (1 - plan.momentum) * gradient + plan.momentum * m
                rate = plan.matrix_rate * factor * shape_scale(*parameter.shape)
                expected[name].mul_(1 - rate * plan.weight_decay)
                expected[name].sub_(reference(ahead), alpha=rate)
            else:
                table = name.startswith("embed")
                rate = (plan.embedding_rate if table else plan.vector_rate) * factor
                m.mul_(plan.beta1).add_(gradient, alpha=1 - plan.beta1)
                squares[name].mul_(plan.beta2).add_(gradient**2, alpha=1 - plan.beta2)
                mean = m / (1 - plan.beta1 ** (step + 1))
                root = (squares[name] / (1 - plan.beta2 ** (step + 1))).sqrt()
                expected[name].sub_(mean / (root + plan.epsilon), alpha=rate)
        optimizer.step(step, factor)
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter.double(), expected[name], rtol=0, atol=2e-5)


def test_rules_go_by_shape() -> None:
    assert role_of("embed_tokens.weight", torch.zeros(61, 64)) == "embedding"
    assert role_of("lm_head.weight", torch.zeros(61, 64)) == "embedding"
    # Also where a matrix of a block happens to be as tall as the vocabulary.
    assert role_of("layers.0.mlp.up_proj.weight", torch.zeros(61, 64)) == "matrix"
    assert role_of("norm.weight", torch.zeros(64)) == "vector"


def test_clipping_takes_all_gradients_together() -> None:
    gradients = [torch.tensor([3.0]), torch.tensor([[4.0]])]
    assert clip(gradients, 1.0, World()) == pytest.approx(5.0)
    assert [float(one) for one in gradients] == pytest.approx([0.6, 0.8])
    assert clip(gradients, 2.0, World()) == pytest.approx(1.0)
    assert [float(one) for one in gradients] == pytest.approx([0.6, 0.8])


def test_states_of_another_model_are_refused() -> None:
    one = Optimizer([("a", torch.nn.Parameter(torch.zeros(3, 3)))], tiny_plan())
    other = Optimizer([("b", torch.nn.Parameter(torch.zeros(3, 3)))], tiny_plan())
    with pytest.raises(ValueError, match="another model"):
        one.load(other.state)
