"""Muon for the matrices inside the blocks, AdamW for everything else, over named parameters.

The states are plain tensors under the parameters' names, sharded as the parameters are, so that
saving, resuming and changing the number of ranks need no knowledge of either method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from madang.training.distributed import World, gather_rows, local, own_rows, share_out
from madang.training.muon import nesterov, orthogonalise, shape_scale
from madang.training.plan import Plan

Role = Literal["matrix", "embedding", "vector"]


def role_of(name: str, parameter: Tensor) -> Role:
    """Return what a parameter is: a table of the vocabulary, a matrix, or a vector of gains."""
    if parameter.dim() < 2:
        return "vector"
    return "embedding" if name.endswith(("embed_tokens.weight", "lm_head.weight")) else "matrix"


@dataclass(frozen=True, slots=True)
class _Group:
    """Parameters that one rule moves, with the rule's rate before the schedule."""

    names: tuple[str, ...]
    rate: float
    weight_decay: float


class Optimizer:
    """Moves the trained parameters of a model by the plan's rates times the schedule's factor."""

    def __init__(
        self, parameters: Iterable[tuple[str, nn.Parameter]], plan: Plan, world: World | None = None
    ) -> None:
        self._parameters = {name: value for name, value in parameters if value.requires_grad}
        self._plan = plan
        self._world = world or World()
        roles = {name: role_of(name, p) for name, p in self._parameters.items()}
        by_muon = plan.matrix_optimizer == "muon" and plan.method == "full"
        self._muon: list[_Group] = []
        self._adamw: list[_Group] = []
        self.state: dict[str, Tensor] = {}
        matrices = [name for name, role in roles.items() if role == "matrix"]
        if by_muon:
            by_shape: dict[tuple[int, ...], list[str]] = {}
            for name in matrices:
                by_shape.setdefault(tuple(self._parameters[name].shape), []).append(name)
            for shape, names in by_shape.items():
                rate = plan.matrix_rate * shape_scale(*shape)
                self._muon.append(_Group(tuple(names), rate, plan.weight_decay))
        else:
            self._add_adamw(matrices, plan.matrix_rate, plan.weight_decay)
        for role, rate in (("embedding", plan.embedding_rate), ("vector", plan.vector_rate)):
            self._add_adamw([name for name, one in roles.items() if one == role], rate, 0.0)
        for group in self._muon:
            for name in group.names:
                self.state[f"momentum.{name}"] = torch.zeros_like(self._parameters[name].data)
        for group in self._adamw:
            for name in group.names:
                self.state[f"mean.{name}"] = torch.zeros_like(self._parameters[name].data)
                self.state[f"square.{name}"] = torch.zeros_like(self._parameters[name].data)

    def _add_adamw(self, names: list[str], rate: float, weight_decay: float) -> None:
        if names:
            self._adamw.append(_Group(tuple(names), rate, weight_decay))

    def gradients(self) -> list[Tensor]:
        """Return this rank's part of every gradient; a parameter without one counts as zero."""
        for parameter in self._parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [local(_gradient(one)) for one in self._parameters.values()]

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, step: int, factor: float) -> None:
        """Move every parameter by its gradient; `step` counts from 0 and is AdamW's clock."""
        for group in self._muon:
            self._step_muon(group, factor)
        for group in self._adamw:
            self._step_adamw(group, step, factor)

    def _step_muon(self, group: _Group, factor: float) -> None:
        parameters = [self._parameters[name] for name in group.names]
        momenta = [self.state[f"momentum.{name}"] for name in group.names]
        updates = nesterov(
            [local(one) for one in momenta],
            [local(_gradient(one)) for one in parameters],
            self._plan.momentum,
        )
        rate = group.rate * factor
        if self._world.size == 1:
            moved = list(orthogonalise(torch.stack(updates)).unbind())
        else:
            whole = gather_rows(updates, parameters[0].size(0), self._world)
            whole = share_out(whole, orthogonalise, self._world)
            moved = [own_rows(one, self._world) for one in whole]
        parts = [local(one.data) for one in parameters]
        if group.weight_decay:
            torch._foreach_mul_(parts, 1 - rate * group.weight_decay)
        torch._foreach_add_(parts, moved, alpha=-rate)

    def _step_adamw(self, group: _Group, step: int, factor: float) -> None:
        plan = self._plan
        held = [
            (
                local(p.data),
                local(_gradient(p)),
                local(self.state[f"mean.{n}"]),
                local(self.state[f"square.{n}"]),
            )
            for n in group.names
            if local((p := self._parameters[n]).data).numel()
        ]
        if not held:
            return
        parameters, gradients, means, squares = (list(column) for column in zip(*held, strict=True))
        device = parameters[0].device
        adamw(
            parameters,
            gradients,
            means,
            squares,
            [],
            [torch.tensor(float(step), device=device) for _ in parameters],
            fused=True,
            amsgrad=False,
            beta1=plan.beta1,
            beta2=plan.beta2,
            lr=group.rate * factor,
            weight_decay=group.weight_decay,
            eps=plan.epsilon,
            maximize=False,
        )

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved states; raises ValueError where a name or shape is another."""
        if set(state) != set(self.state):
            raise ValueError("the optimizer's states belong to another model or another optimizer")
        for name, tensor in state.items():
            if tensor.shape != self.state[name].shape:
                raise ValueError(f"the optimizer's state {name} has another shape")
            local(self.state[name]).copy_(local(tensor))


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def norm_of(gradients: list[Tensor], world: World) -> Tensor:
    """Return the norm of all gradients together, over all ranks; a scalar."""
    norms = torch._foreach_norm([one for one in gradients if one.numel()])
    total = torch.stack([*norms]).square().sum() if norms else torch.zeros(())
    if world.size > 1:
        import torch.distributed as dist

        dist.all_reduce(total)
    return total.sqrt()


def clip(gradients: list[Tensor], largest: float, world: World) -> float:
    """Scale all gradients down to a norm of at most `largest` (0: never); return their norm."""
    norm = norm_of(gradients, world)
    if largest > 0:
        factor = (largest / (norm + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_([one for one in gradients if one.numel()], factor)
    return float(norm)
