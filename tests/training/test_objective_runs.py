"""Whole runs of supervised fine-tuning and of preference optimisation, through the one loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chats import QUESTIONS, chat_tokenizer, conversation, encode, end, write_lines
from test_preference import ROWS
from test_supervised import small_model
from tiny import tiny_plan

from madang.model.saving import load_weights
from madang.training.batch import BatchSource
from madang.training.data_files import read_conversations, read_preferences
from madang.training.metrics import read_metrics
from madang.training.objective import Loss, next_token_loss
from madang.training.plan import Plan
from madang.training.preference import (
    PreferenceSource,
    encode_preferences,
    preference_loss,
    reference_log_probabilities,
)
from madang.training.run import resume, train
from madang.training.supervised import SupervisedSource, encode_conversations

LENGTH = 96


def plan(objective: str, **overrides: Any) -> Plan:
    values: dict[str, Any] = {
        "objective": objective,
        "vocabulary": chat_tokenizer().vocabulary_size,
        "hidden": 96,
        "rows": 4,
        "length": LENGTH,
        "steps": 10,
        "matrix_optimizer": "adamw",
        "matrix_rate": 2e-3,
        "embedding_rate": 2e-3,
        "vector_rate": 2e-3,
    }
    return tiny_plan(**(values | overrides))


def supervised(folder: Path, fill: int | None) -> tuple[BatchSource, Loss]:
    path = write_lines(folder / "chats.jsonl", [conversation(*one) for one in QUESTIONS] * 8)
    encoded = encode_conversations(
        read_conversations(path), encode(), end=end(), length=LENGTH, path=path
    )
    source = SupervisedSource(encoded.samples, seed=0, rows=4, length=LENGTH, fill=fill)
    return source, next_token_loss


def preferences(folder: Path, fill: int | None) -> tuple[BatchSource, Loss]:
    path = write_lines(folder / "pairs.jsonl", ROWS * 6)
    pairs = encode_preferences(
        read_preferences(path), encode(), end=end(), length=LENGTH, path=path
    ).pairs
    reference = reference_log_probabilities(small_model(), pairs, length=LENGTH)
    source = PreferenceSource(pairs, reference, seed=0, rows=4, length=LENGTH, fill=fill)
    return source, preference_loss


OBJECTIVES = {"sft": supervised, "dpo": preferences}


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder) if "loss" in line]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_lowers_its_loss(tmp_path: Path, objective: str) -> None:
    torch.set_num_threads(1)
    source, loss = OBJECTIVES[objective](tmp_path, None)
    result = train(plan(objective), source, tmp_path / "run", loss=loss, model=small_model())
    assert result.state.state == "finished"
    course = losses(tmp_path / "run")
    if objective == "dpo":
        assert course[0] == pytest.approx(np.log(2), rel=1e-4)
    assert course[-1] < 0.8 * course[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_micro_batches_and_filled_rows_change_nothing(tmp_path: Path, objective: str) -> None:
    torch.set_num_threads(1)
    weights = []
    for micro_rows, fill in ((4, None), (1, None), (2, 0)):
        source, loss = OBJECTIVES[objective](tmp_path, fill)
        folder = tmp_path / f"run-{micro_rows}"
        chosen = plan(objective, steps=3, micro_rows=micro_rows, precision="float64")
        train(chosen, source, folder, loss=loss, model=small_model())
        weights.append(load_weights(folder / "weights.safetensors"))
    for other in weights[1:]:
        for name, tensor in weights[0].items():
            assert (tensor - other[name]).abs().max() < 1e-6, name


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, objective: str) -> None:
    torch.set_num_threads(1)
    source, loss = OBJECTIVES[objective](tmp_path, None)
    chosen = plan(objective, steps=6, checkpoint_every=2)

    class CutError(RuntimeError):
        """The run was killed."""

    class Killed:
        def batch(self, step: int) -> Any:
            if step == 5:
                raise CutError
            return source.batch(step)

    train(chosen, source, tmp_path / "whole", loss=loss, model=small_model())
    with pytest.raises(CutError):
        train(chosen, Killed(), tmp_path / "cut", loss=loss, model=small_model())
    again, loss = OBJECTIVES[objective](tmp_path, None)
    resume(tmp_path / "cut", again, loss=loss, model=small_model())
    whole, cut = ((tmp_path / one / "weights.safetensors").read_bytes() for one in ("whole", "cut"))
    assert whole == cut
