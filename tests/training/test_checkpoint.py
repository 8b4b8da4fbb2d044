"""Checkpoints are whole or not there."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TinySource, tiny_plan

from madang.training.checkpoint import (
    CheckpointError,
    last_whole,
    load_into,
    open_checkpoint,
    prune,
    save_checkpoint,
    steps_saved,
)
from madang.training.distributed import World
from madang.training.files import sha256
from madang.training.run import resume, train
from madang.training.state import held, read_state

STATE = {"elapsed": 1.0}


def save(folder: Path, step: int, value: float = 0.0) -> None:
    weights, moments = {"a": torch.full((3, 4), value)}, {"mean.a": torch.full((3, 4), -value)}
    save_checkpoint(folder, step, weights, moments, STATE, World())


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path, 7, 0.1)
    checkpoint, skipped = last_whole(tmp_path)
    assert checkpoint is not None
    assert (checkpoint.step, skipped) == (7, [])
    weights, moments = {"a": torch.zeros(3, 4)}, {"mean.a": torch.zeros(3, 4)}
    load_into(checkpoint, weights, moments, World())
    assert torch.equal(weights["a"], torch.full((3, 4), 0.1))
    assert torch.equal(moments["mean.a"], torch.full((3, 4), -0.1))
    with pytest.raises(CheckpointError, match="another model's"):
        load_into(checkpoint, {"b": torch.zeros(3, 4)}, moments, World())
    with pytest.raises(CheckpointError, match="another shape"):
        load_into(checkpoint, {"a": torch.zeros(4, 3)}, moments, World())


def test_the_last_two_are_kept_and_those_that_were_asked_for(tmp_path: Path) -> None:
    for step in range(1, 8):
        save(tmp_path, step)
        prune(tmp_path, keep_every=3)
    assert steps_saved(tmp_path) == [3, 6, 7]


def test_a_state_that_lost_its_last_byte_is_damaged(tmp_path: Path) -> None:
    save(tmp_path, 1, 1.0)
    path = tmp_path / "step-00000001" / "state.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        open_checkpoint(path.parent)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_damage_is_found(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("damage")
    save(folder, 1, 1.0)
    save(folder, 2, 2.0)
    names = ["weights.safetensors", "optimizer.safetensors", "state.json"]
    path = folder / "step-00000002" / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["cut", "flipped", "gone"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "gone":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(content[:place])
    elif path.name != "state.json":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
    else:
        path.write_text(json.dumps({"step": 2, "files": {"weights.safetensors": {}}}))
    with pytest.raises(CheckpointError):
        open_checkpoint(folder / "step-00000002")
    checkpoint, skipped = last_whole(folder)
    assert checkpoint is not None
    assert checkpoint.step == 1
    assert len(skipped) == 1
    assert "step 2 is skipped" in skipped[0]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse longer files, as it does where the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_sentence_and_the_older_checkpoint_stays(tmp_path: Path) -> None:
    class Filling(TinySource):
        def batch(self, step: int):  # type: ignore[no-untyped-def]
            if step == 7:
                limit.__enter__()
            return super().batch(step)

    limit = files_of_at_most(100_000)
    plan = tiny_plan(checkpoint_every=5)
    try:
        with pytest.raises(OSError, match="disk is full; free some space and resume the run"):
            train(plan, Filling(), tmp_path / "run")
    finally:
        limit.__exit__(None, None, None)
    assert steps_saved(tmp_path / "run" / "checkpoints") == [5]
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "step-00000005"
    ]
    state = read_state(tmp_path / "run")
    assert state.state == "stopped"
    assert "disk is full" in state.detail
    resumed = resume(tmp_path / "run", TinySource())
    whole = train(tiny_plan(), TinySource(), tmp_path / "whole")
    one, other = (one.folder / "weights.safetensors" for one in (resumed, whole))
    assert sha256(one) == sha256(other)


def test_one_process_trains_a_run(tmp_path: Path) -> None:
    tmp_path.joinpath("run").mkdir()
    with (
        held(tmp_path / "run"),
        pytest.raises(ValueError, match="another process is training this run"),
    ):
        train(tiny_plan(), TinySource(), tmp_path / "run")
