"""How much of the minutes is left for what follows the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from madang.home import TrainOptions
from madang.home.train_planning import import_seconds, seconds_beside
from madang.training.plan import Plan

PLAN = Plan(
    vocabulary=2048,
    width=64,
    layers=2,
    heads=1,
    key_value_heads=1,
    hidden=192,
    minutes=1.0,
    rows=4,
    length=512,
    micro_rows=4,
    matrix_rate=0.02,
    embedding_rate=0.03,
    vector_rate=0.01,
    peak_flops=4e11,
)
ALL, NONE = TrainOptions(minutes=1), TrainOptions(minutes=1, publish=False)


def test_formats_weights_and_a_slow_machine_take_longer() -> None:
    few = seconds_beside(PLAN, ALL, 2.0)
    assert 15 < few < 30
    assert seconds_beside(PLAN, replace(ALL, formats=("gguf-f32",)), 2.0) < few / 2
    assert 0 < seconds_beside(PLAN, NONE, 2.0) < 6
    assert seconds_beside(PLAN, ALL, 4.0) > 1.8 * few
    assert seconds_beside(PLAN, ALL, 0.0) == seconds_beside(PLAN, ALL, 1.0)
    large = replace(PLAN, layers=24, width=1024, heads=16, hidden=2752)
    assert seconds_beside(large, ALL, 2.0) > few + 60
    slow = replace(large, peak_flops=1e11)
    assert seconds_beside(slow, ALL, 2.0) > 2.5 * seconds_beside(large, ALL, 2.0)


def test_what_is_imported_already_takes_no_time() -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    import_seconds()
    assert import_seconds() < 0.1
