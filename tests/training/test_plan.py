"""A plan is one record, exact in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_plan

from madang.training.plan import Plan, read_plan
from madang.training.schedule import Decay


@given(
    rate=st.floats(1e-9, 10, allow_nan=False),
    minutes=st.none() | st.floats(0.01, 1e6),
    seed=st.integers(0, 2**63),
    decays=st.lists(st.integers(1, 1000), max_size=3),
)
def test_json_both_ways(rate: float, minutes: float | None, seed: int, decays: list[int]) -> None:
    plan = tiny_plan(
        matrix_rate=rate,
        minutes=minutes,
        seed=seed,
        decays=tuple(Decay(one, 2 * one) for one in decays),
        reasons={"width": "폭은 시간이 정한다"},
    )
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": 3, "micro_rows": 2}, "set micro_rows to a divisor"),
        ({"steps": None}, "minutes or the steps"),
        ({"method": "qlora"}, "method is 'qlora'"),
        ({"matrix_rate": float("nan")}, "matrix_rate is nan"),
        ({"minutes": -1.0}, "minutes is -1.0"),
        ({"length": 256}, "do not fit a context of 128"),
        ({"decay_share": 1.0}, "decay_share is 1.0"),
    ],
)
def test_what_cannot_be_is_said(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tiny_plan(**change)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not a plan"),
        ('{"widht": 3}', "a plan has no widht"),
        ("{}", "missing"),
    ],
)
def test_files_that_are_no_plan_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        read_plan(tmp_path)
    assert "plan.json" in str(error.value)
