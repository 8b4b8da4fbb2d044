"""Checkpoints: a folder that is whole or not there, from which a run goes on bit for bit.

One process writes `weights.safetensors` and `optimizer.safetensors`; several write the folder
`sharded` with torch.distributed.checkpoint. Either is read by any number of ranks. `state.json`
holds the SHA-256 of every file beside it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from madang.training.distributed import World, from_first, local, own_rows, wait_for_all
from madang.training.files import said_plainly, sha256, sync, write_text

_NAME: Final = re.compile(r"step-(\d{8,})")


class CheckpointError(ValueError):
    """A checkpoint is not whole."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint on the disk, taken after `step` steps."""

    folder: Path
    step: int
    state: Mapping[str, Any]


def folder_of(checkpoints: Path, step: int) -> Path:
    """Return the folder of the checkpoint after `step` steps."""
    return checkpoints / f"step-{step:08}"


def save_checkpoint(
    checkpoints: Path,
    step: int,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    state: Mapping[str, Any],
    world: World,
) -> Checkpoint:
    """Write a checkpoint; it appears under its name only when it is whole and on the disk.

    Raises OSError in one sentence where the disk is full; what was there before stays.
    """
    target = folder_of(checkpoints, step)
    temporary = checkpoints / f".{target.name}.part"
    failure: OSError | None = None
    try:
        if world.first:
            with said_plainly(target):
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
        wait_for_all(world)
        with said_plainly(target):
            if world.size == 1:
                _save_whole(temporary / "weights.safetensors", weights)
                _save_whole(temporary / "optimizer.safetensors", optimizer)
            else:
                _save_sharded(temporary / "sharded", weights, optimizer)
        if world.first:
            with said_plainly(target):
                saved = {"step": step, **state, "world": world.size, "files": _seal(temporary)}
                # No line break at the end: whatever is cut off leaves no JSON behind.
                write_text(temporary / "state.json", json.dumps(saved, indent=2))
                sync(temporary)
                shutil.rmtree(target, ignore_errors=True)
                temporary.rename(target)
                sync(checkpoints)
        else:
            saved = {}
    except OSError as error:
        failure = error
    failure = from_first(failure, world) or failure
    if failure is not None:
        if world.first:
            shutil.rmtree(temporary, ignore_errors=True)
        raise failure
    return Checkpoint(target, step, from_first(saved, world))


def _save_whole(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({name: one.detach().cpu().contiguous() for name, one in tensors.items()}, path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number.group(1)) if number else errno.EIO
        raise OSError(code, f"{path}: {os.strerror(code)}") from error


def _save_sharded(
    folder: Path, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]
) -> None:
    from torch.distributed.checkpoint import api, state_dict_saver

    tensors = {f"weights.{name}": one.detach() for name, one in weights.items()}
    tensors |= {f"optimizer.{name}": one.detach() for name, one in optimizer.items()}
    try:
        state_dict_saver.save(tensors, checkpoint_id=str(folder))
    except api.CheckpointException as error:
        causes = list(error.failures.values())
        inner = next((one[0] for one in causes if isinstance(one[0], OSError)), None)
        raise inner or OSError(errno.EIO, f"{folder}: {error}") from error


def _seal(folder: Path) -> dict[str, dict[str, Any]]:
    """Bring every file to the disk and return its size and SHA-256, by its path in the folder."""
    sealed = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        sync(path)
        name = path.relative_to(folder).as_posix()
        sealed[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    for path in sorted(one for one in folder.rglob("*") if one.is_dir()):
        sync(path)
    return sealed


def open_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint in `folder` once every file has been checked.

    Raises CheckpointError that names the file that is missing or changed.
    """
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
        files, step = state["files"], int(state["step"])
        for name, facts in files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != facts["bytes"]:
                raise CheckpointError(f"{path} is missing or not whole")
            if sha256(path) != facts["sha256"]:
                raise CheckpointError(f"{path} has changed since it was written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder}: its state.json cannot be read ({error})") from error
    return Checkpoint(folder, step, state)


def steps_saved(checkpoints: Path) -> list[int]:
    """Return the steps of which there is a checkpoint, in rising order."""
    if not checkpoints.is_dir():
        return []
    found = [_NAME.fullmatch(path.name) for path in checkpoints.iterdir()]
    return sorted(int(one.group(1)) for one in found if one)


def last_whole(checkpoints: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that is whole, and a sentence on each newer one that is not."""
    skipped: list[str] = []
    for step in reversed(steps_saved(checkpoints)):
        try:
            return open_checkpoint(folder_of(checkpoints, step)), skipped
        except CheckpointError as error:
            skipped.append(f"the checkpoint of step {step} is skipped: {error}")
    return None, skipped


def prune(checkpoints: Path, keep_every: int, newest: int = 2) -> None:
    """Remove all but the newest checkpoints and those at multiples of `keep_every` (0: none)."""
    for step in steps_saved(checkpoints)[:-newest]:
        if not keep_every or step % keep_every:
            shutil.rmtree(folder_of(checkpoints, step), ignore_errors=True)
    for path in checkpoints.glob(".step-*.part"):
        shutil.rmtree(path, ignore_errors=True)


@torch.no_grad()
def load_into(
    checkpoint: Checkpoint,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor] | None,
    world: World,
) -> None:
    """Copy a checkpoint into tensors that are sharded as this world is.

    Raises CheckpointError where names or shapes are another model's.
    """
    wanted = {f"weights.{name}": one.detach() for name, one in weights.items()}
    if optimizer is not None:
        wanted |= {f"optimizer.{name}": one for name, one in optimizer.items()}
    if (checkpoint.folder / "sharded").is_dir():
        _load_sharded(checkpoint.folder / "sharded", wanted, world)
        return
    saved: dict[str, Tensor] = {}
    for part in ("weights", "optimizer") if optimizer is not None else ("weights",):
        tensors = load_file(checkpoint.folder / f"{part}.safetensors")
        saved |= {f"{part}.{name}": one for name, one in tensors.items()}
    if set(saved) != set(wanted):
        odd = sorted(set(saved) ^ set(wanted))[0]
        raise CheckpointError(f"{checkpoint.folder}: it is another model's ({odd})")
    for name, tensor in wanted.items():
        if saved[name].shape != tensor.shape:
            raise CheckpointError(f"{checkpoint.folder}: {name} has another shape")
        whole = saved[name]
        local(tensor).copy_(own_rows(whole, world) if world.size > 1 else whole)


def _load_sharded(folder: Path, wanted: dict[str, Tensor], world: World) -> None:
    from torch.distributed.checkpoint import api, state_dict_loader

    try:
        state_dict_loader.load(wanted, checkpoint_id=str(folder), no_dist=world.size == 1)
    except (api.CheckpointException, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder}: it cannot be read into this model ({error})") from error
