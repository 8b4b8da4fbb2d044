"""Products by the library for the machine equal PyTorch's in double precision."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from madang.model.product import times_transposed, transposed_times  # noqa: E402

SIZES = st.integers(1, 40)
LAYOUTS = st.sampled_from(["rows", "columns", "strided"])


def laid(rows: int, columns: int, layout: str, seed: int) -> torch.Tensor:
    """A matrix whose elements lie in memory in one of the ways that a model's do."""
    generator = torch.Generator().manual_seed(seed)
    if layout == "columns":
        return torch.randn(columns, rows, generator=generator).T
    if layout == "strided":
        return torch.randn(rows, 2 * columns, generator=generator)[:, columns:]
    return torch.randn(rows, columns, generator=generator)


@given(m=SIZES, n=SIZES, k=SIZES, left=LAYOUTS, right=LAYOUTS, seed=st.integers(0, 99))
def test_products_are_those_of_double_precision(
    m: int, n: int, k: int, left: str, right: str, seed: int
) -> None:
    a, b = laid(m, k, left, seed), laid(n, k, right, seed + 1)
    expected = a.double() @ b.double().T
    torch.testing.assert_close(times_transposed(a, b).double(), expected, rtol=1e-5, atol=1e-5)
    same = times_transposed(a.double(), b.double())
    torch.testing.assert_close(same, expected, rtol=1e-12, atol=1e-12)
    c = laid(m, n, right, seed + 2)
    torch.testing.assert_close(
        transposed_times(a, c).double(), a.double().T @ c.double(), rtol=1e-5, atol=1e-5
    )


def test_a_product_gives_the_same_bits_again() -> None:
    a, b = laid(700, 576, "rows", 1), laid(1536, 576, "rows", 2)
    first = times_transposed(a, b)
    for _ in range(5):
        # Memory that begins elsewhere must not change a sum's order.
        moved = torch.empty(a.numel() + 3)[3:].view_as(a).copy_(a)
        assert torch.equal(times_transposed(moved, b), first)
