"""One step: the gradient of a whole batch, in equal micro-batches and over all ranks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from madang.training.batch import StepBatch
from madang.training.distributed import World, summed, synchronise_gradients
from madang.training.objective import Loss


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The loss of a whole batch before the step: `mean` a unit that counts, `total` summed."""

    total: float
    count: float

    @property
    def mean(self) -> float:
        """Nats a trained token (or the loss a pair)."""
        return self.total / self.count


def check_division(micro_batches: int, world: World) -> int:
    """Return how many micro-batches each rank computes; ValueError where they do not divide."""
    if micro_batches % world.size:
        raise ValueError(
            f"a step has {micro_batches} micro-batches, which {world.size} ranks cannot share "
            "equally; use a number of ranks that divides them, or set micro_rows lower"
        )
    return micro_batches // world.size


def accumulate(
    model: nn.Module, loss: Loss, batch: StepBatch, micro_batches: int, world: World
) -> StepLoss:
    """Add the gradient of `batch`'s mean loss to the parameters' and return that loss.

    Each micro-batch has the same shape on every rank. The sum is divided by what counts in the
    whole batch before it is differentiated, so that neither the size of the micro-batches nor the
    number of ranks changes the gradient.
    """
    each = check_division(micro_batches, world)
    count = batch.count
    if not count > 0:
        raise ValueError("a batch has nothing to learn: no token of it is trained")
    total = 0.0
    for index in range(each):
        part = batch.part(world.rank * each + index, micro_batches)
        synchronise_gradients(model, index == each - 1)
        one = loss(model, part)
        (one / count).backward()  # type: ignore[no-untyped-call]
        total += float(one.detach())
    return StepLoss(summed([total], world)[0], count)
