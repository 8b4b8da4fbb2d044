"""One process or many: what the loop needs to know of its ranks, and FSDP2 for the model.

With one process every function here does nothing but hand back what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class World:
    """This process' place among the ranks."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this rank decides and writes files."""
        return self.rank == 0


@contextmanager
def joined(device: str = "cpu") -> Iterator[World]:
    """Join the ranks that `torchrun` has started; alone where it has not."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=device)
        return
    import torch.distributed as dist

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()


def shard(model: nn.Module, blocks: Sequence[nn.Module], world: World, mixed: bool = False) -> None:
    """Shard a model's parameters over the ranks, block by block (FSDP2), in place.

    Gradients are summed, never averaged: the loss is already divided by the tokens of the whole
    batch, so that the number of ranks changes nothing.
    """
    if world.size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    mesh = init_device_mesh(world.device, (world.size,))
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if mixed
        else MixedPrecisionPolicy()
    )
    for module in (*blocks, model):
        sharded = fully_shard(module, mesh=mesh, mp_policy=policy)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)
    for name in ("log_probabilities", "hidden", "logits"):
        if hasattr(model, name):
            register_fsdp_forward_method(model, name)


def synchronise_gradients(model: nn.Module, wanted: bool) -> None:
    """Say whether the coming backward passes exchange gradients; only a step's last one must."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(wanted)


def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this rank holds, sharing its memory."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor; every rank must take part."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_rows(whole: Tensor, world: World) -> Tensor:
    """Return the rows of a whole matrix that this rank holds: FSDP2 cuts the first dimension."""
    size = -(-whole.size(0) // world.size)
    start = min(world.rank * size, whole.size(0))
    return whole[start : start + size]


def gather_rows(parts: Sequence[Tensor], rows: int, world: World) -> Tensor:
    """Put matrices together of which every rank holds some rows: `[n, rows, columns]`.

    `parts` are this rank's rows of each; all matrices have one shape.
    """
    size = -(-rows // world.size)
    mine = parts[0].new_zeros(len(parts), size, *parts[0].shape[1:])
    for place, part in zip(mine, parts, strict=True):
        place[: part.size(0)] = part
    return torch.cat(_gathered(mine, world), dim=1)[:, :rows]


def share_out(stack: Tensor, work: Callable[[Tensor], Tensor], world: World) -> Tensor:
    """Return `work(stack)` of a stack `[n, ...]`, each rank having done an equal part of it."""
    size = -(-stack.size(0) // world.size)
    mine = stack[world.rank * size : (world.rank + 1) * size]
    done = stack.new_zeros(size, *stack.shape[1:])
    if mine.size(0):
        done[: mine.size(0)] = work(mine)
    return torch.cat(_gathered(done, world))[: stack.size(0)]


def _gathered(mine: Tensor, world: World) -> list[Tensor]:
    import torch.distributed as dist

    parts = [torch.empty_like(mine) for _ in range(world.size)]
    dist.all_gather(parts, mine)
    return parts


def summed(values: Sequence[float], world: World) -> list[float]:
    """Return each value summed over the ranks."""
    if world.size == 1:
        return list(values)
    import torch.distributed as dist

    tensor = torch.tensor(list(values), dtype=torch.float64, device=world.device)
    dist.all_reduce(tensor)
    return [float(value) for value in tensor]


def from_first(value: Any, world: World) -> Any:
    """Return what rank 0 has: a decision of its clock, or anything small that pickles."""
    if world.size == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def wait_for_all(world: World) -> None:
    """Return when every rank has come here."""
    if world.size > 1:
        import torch.distributed as dist

        dist.barrier()
