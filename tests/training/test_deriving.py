"""The dial: more time gives a larger model, few posts bound it, and every number has its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.training.deriving import MOST_PASSES, CorpusFacts, derive_plan, explain
from madang.training.machine import Machine, measure_machine
from madang.training.plan import Plan


def machine(peak: float = 2e11, narrow: float = 0.45, *, compiler: bool = False) -> Machine:
    return Machine("two cores", "cpu", 2, peak, narrow * peak, 2**34, compiler)


def derived(size: int, minutes: float | None, steps: int | None = None, **given: Any) -> Plan:
    return derive_plan(machine(), CorpusFacts(size, {"en": size}), minutes, given, steps=steps)


SMOLLM2 = {
    "base": "smollm2",
    "vocabulary": 49152,
    "width": 576,
    "layers": 30,
    "heads": 9,
    "key_value_heads": 3,
    "head_width": 64,
    "hidden": 1536,
    "qk_norm": False,
    "rope_base": 100_000.0,
    "norm_epsilon": 1e-5,
    "context": 8192,
}


def size(plan: Plan) -> int:
    return plan.layers * plan.width**2


@settings(deadline=None)
@given(
    bytes_=st.integers(1, 10**10),
    minutes=st.floats(0.05, 10_000),
    peak=st.floats(1e9, 1e16),
    narrow=st.floats(0.001, 1.2),
    compiler=st.booleans(),
    ranks=st.sampled_from([1, 2, 3, 8]),
)
def test_any_time_and_any_posts_give_a_plan(
    bytes_: int, minutes: float, peak: float, narrow: float, compiler: bool, ranks: int
) -> None:
    facts = CorpusFacts(bytes_, {"ko": bytes_})
    plan = derive_plan(machine(peak, narrow, compiler=compiler), facts, minutes, {}, ranks=ranks)
    assert plan.width % 64 == 0
    assert plan.width == plan.heads * 64
    assert plan.micro_batches % ranks == 0
    assert plan.vocabulary >= 512
    assert not plan.tied
    numbers = {"rows", "length", "width", "layers", "vocabulary", "matrix_rate", "warm_up"}
    assert numbers <= set(plan.reasons)
    assert Plan.from_json(plan.to_json()) == plan
    assert 0 < plan.corpus_share <= 1
    assert all(value and why for _, value, why in explain(plan))


def test_more_time_gives_a_larger_model_and_larger_steps() -> None:
    plans = [derived(10**9, minutes) for minutes in (1, 5, 20, 60, 600, 6000)]
    assert [size(one) for one in plans] == sorted(size(one) for one in plans)
    assert size(plans[-1]) > 20 * size(plans[0])
    assert [one.vocabulary for one in plans] == sorted(one.vocabulary for one in plans)
    assert plans[0].tokens_a_step <= plans[-1].tokens_a_step


def test_slow_memory_gives_a_smaller_model() -> None:
    facts = CorpusFacts(10**9, {"en": 10**9})
    plans = [derive_plan(machine(2e11, part), facts, 20, {}) for part in (0.02, 0.1, 0.3, 0.6)]
    assert [size(one) for one in plans] == sorted(size(one) for one in plans)
    assert size(plans[-1]) > 2 * size(plans[0])


def test_few_posts_bound_vocabulary_and_passes() -> None:
    plan = derived(300_000, 20)
    assert plan.vocabulary <= 1024
    assert plan.steps is not None
    assert "before its time" in plan.reasons["steps"]
    assert plan.steps * plan.tokens_a_step < 1.5 * MOST_PASSES * 300_000 / 2
    assert derived(10**8, 20).steps is None


def test_a_run_that_reads_little_of_many_posts_leaves_the_rest_alone() -> None:
    short = derived(10**9, None, steps=100)
    there = 10**9 / 2.7
    assert 2 * 100 * short.tokens_a_step <= short.corpus_share * there < 2e6 + there / 100
    assert "before the others would be read" in short.reasons["corpus_share"]
    shares = [derived(10**9, minutes).corpus_share for minutes in (1, 10, 100, 10_000)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert derived(2 * 10**6, None, steps=1).corpus_share == 1, "all of few posts is little"
    assert derived(10**9, 1, **SMOLLM2, objective="sft").corpus_share == 1


def test_what_is_set_by_hand_stays() -> None:
    plan = derived(10**7, 5, width=256, layers=3, matrix_rate=0.5, rows=6, length=128)
    assert (plan.width, plan.layers, plan.heads, plan.hidden) == (256, 3, 4, 704)
    assert (plan.matrix_rate, plan.rows, plan.length) == (0.5, 6, 128)
    assert plan.rows % plan.micro_rows == 0
    assert plan.reasons["matrix_rate"] == "set by hand"


def test_exact_steps_need_no_clock() -> None:
    plan = derived(10**7, None, steps=77)
    assert (plan.steps, plan.minutes) == (77, None)


def test_a_base_keeps_its_shape() -> None:
    adapters = derived(10**7, 3, **SMOLLM2, method="lora")
    assert (adapters.width, adapters.layers, adapters.vocabulary) == (576, 30, 49152)
    assert adapters.matrix_optimizer == "adamw"
    full = derived(10**7, 3, **SMOLLM2)
    assert full.matrix_rate < adapters.matrix_rate / 5
    steps = 180 * 2e11 * 0.6 / (4 * 134e6 * adapters.tokens_a_step)
    assert 50 < steps < 400


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match="no posts to train on"):
        derived(0, 5)
    with pytest.raises(ValueError, match="a plan has no widht"):
        derived(10**6, 5, widht=64)


def test_a_machine_is_measured() -> None:
    pytest.importorskip("torch")
    found = measure_machine(0.05, threads=1)
    assert found.threads == 1
    assert 1e8 < found.peak_flops < 1e15
    assert 1e7 < found.narrow_flops < found.peak_flops
    assert found.memory_bytes > 2**28
    assert found.name


@pytest.mark.parametrize("method", ["lora", "full"])
def test_preferences_move_a_base_less_than_text(method: str) -> None:
    text = derived(10**6, 5, **SMOLLM2, method=method)
    preferences = derived(10**6, 5, **SMOLLM2, method=method, objective="dpo")
    assert preferences.matrix_rate == pytest.approx(text.matrix_rate / 10)


def test_a_few_steps_are_not_worth_compiling() -> None:
    with_compiler = machine(compiler=True)
    facts = CorpusFacts(10**7, {"en": 10**7})
    few, many = (derive_plan(with_compiler, facts, None, {}, steps=n) for n in (6, 5000))
    assert (few.compile, many.compile) == (False, True)
    assert "too much of so short a run" in few.reasons["compile"]
    base = derive_plan(with_compiler, facts, None, dict(SMOLLM2), steps=5000)
    assert not base.compile
    assert "as quick without" in base.reasons["compile"]
