"""The formulas against what was measured elsewhere, and the tables of docs/cluster.md."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from madang.model.transformer import ModelConfig
from madang.training.cost_formulas import H100, Layout, Shape, cost, step_memory
from madang.training.costs import (
    COUNTS,
    LENGTH,
    LLAMA_8B,
    MEMORY_SHARE,
    PUBLISHED,
    SHAPES,
    Published,
    best_layout,
    costs_table,
    critical_batch,
    published_table,
    training_seconds,
)

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.what)
def test_published_throughputs_are_reproduced_within_15_percent(one: Published) -> None:
    assert len(PUBLISHED) >= 3
    assert 0.85 <= one.predicted / one.measured <= 1.15


@pytest.mark.parametrize(("accelerators", "published"), [(8, 77.0), (128, 62.0)])
def test_published_memory_is_reproduced_within_10_percent(
    accelerators: int, published: float
) -> None:
    """Torchtitan's tables 1 and 3, in GiB; its loss held all logits, in bfloat16 and float32."""
    layout = Layout(accelerators, accelerators, 2, 8192, 2, recompute="selective")
    logits = 2 * 8192 * LLAMA_8B.vocabulary * (2 + 4)
    predicted = (step_memory(LLAMA_8B, layout) + logits) / 2**30
    assert 0.9 <= predicted / published <= 1.1


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_shapes_count_parameters_and_operations_as_the_model_does(shape: Shape) -> None:
    config = ModelConfig(
        vocabulary=shape.vocabulary,
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        key_value_heads=shape.key_value_heads,
        head_width=shape.head_width,
        hidden=shape.hidden,
        tied=shape.tied,
    )
    assert shape.matmul_parameters == config.matmul_parameters()
    # Norms are a few weights in ten thousand.
    assert shape.parameters == pytest.approx(config.parameters(), rel=1e-3)
    attended = LENGTH / 2
    assert shape.model_flops(LENGTH) == pytest.approx(config.flops_per_token(attended), rel=1e-3)
    named = float(shape.name.split()[0]) * {"M": 1e6, "B": 1e9}[shape.name.split()[1]]
    assert shape.parameters == pytest.approx(named, rel=0.1)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_layouts_fit_and_more_accelerators_never_take_longer(shape: Shape) -> None:
    seconds = []
    for count in COUNTS:
        layout = best_layout(shape, count)
        if layout is None:
            continue
        assert layout.accelerators <= count
        assert layout.tokens <= critical_batch(shape.parameters)
        assert step_memory(shape, layout) <= MEMORY_SHARE * H100.memory
        assert cost(shape, layout).model_flops_share < 0.6
        seconds.append(training_seconds(shape, layout))
    # A simpler layout may stand for one that is 5 % faster.
    assert all(later <= 1.05 * earlier for earlier, later in pairwise(seconds))


def test_what_does_not_fit_is_said() -> None:
    assert best_layout(SHAPES[-1], 8) is None
    assert "| 70 B | 8 | – | does not fit |" in costs_table()


@pytest.mark.parametrize(("page", "language"), [("cluster.md", "en"), ("ko/cluster.md", "ko")])
def test_the_document_holds_what_the_script_prints(page: str, language: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    for table in (costs_table(language), published_table(language)):  # type: ignore[arg-type]
        assert table in text, "run `python -m madang.training.costs` and put its tables there"
