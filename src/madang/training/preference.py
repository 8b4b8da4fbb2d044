"""Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7).

The model learns to raise the log-probability of the preferred answer over that of the other one,
measured from where a reference stood: the model before training. What the reference says of each
answer never changes, so it is computed once, before the first step, and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from madang.training.data_files import DataFileError, Preference, refuse
from madang.training.packing import PackedOrder, pack
from madang.training.supervised import (
    Encode,
    Sample,
    assemble,
    encode_sample,
    rows_of_part,
    trained_runs,
    untrain,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

# The paper's own default.
BETA: Final = 0.1


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to the same prompt, each with its prompt; only the answers are trained."""

    line: int
    chosen: Sample
    rejected: Sample

    @property
    def tokens(self) -> int:
        """Tokens of both together."""
        return len(self.chosen.ids) + len(self.rejected.ids)


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """The pairs of a file, and the lines left out because they are longer than a row."""

    pairs: tuple[Pair, ...]
    too_long: tuple[int, ...]
    length: int


@dataclass(frozen=True, slots=True)
class PreferenceBatch:
    """The pairs of one step on a flat token axis: of each the chosen answer, then the other.

    `tokens` and `targets` are int64 `[T]`, `lengths` int32 `[n]` with sum T, `is_answer` bool
    `[n]` (false: the segment fills a row), `reference` float64 `[pairs, 2]`: log-probabilities of
    chosen and rejected in nats. `row_lengths` and `row_pairs` are int64 `[rows]`.
    """

    tokens: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int64]
    is_answer: npt.NDArray[np.bool_]
    reference: npt.NDArray[np.float64]
    row_lengths: npt.NDArray[np.int64]
    row_pairs: npt.NDArray[np.int64]
    padding: int = 0
    bytes: float = 0.0

    @property
    def count(self) -> float:
        """How many pairs are trained."""
        return float(len(self.reference))

    @property
    def positions(self) -> int:
        """T, the length of the flat token axis."""
        return len(self.tokens)

    @property
    def useful(self) -> int:
        """Positions without padding."""
        return self.positions - self.padding

    def part(self, index: int, of: int) -> PreferenceBatch:
        """Return the part `index` of `of` parts with equally many rows."""
        rows, start, stop = rows_of_part(self.row_lengths, index, of)
        first, last = np.searchsorted(np.cumsum(self.lengths), [start, stop - 1], side="right")
        ends = np.cumsum(np.concatenate([[0], self.row_pairs]))
        return PreferenceBatch(
            self.tokens[start:stop],
            self.lengths[first : last + 1],
            self.targets[start:stop],
            self.is_answer[first : last + 1],
            self.reference[ends[rows.start] : ends[rows.stop]],
            self.row_lengths[rows],
            self.row_pairs[rows],
        )


class PreferenceSource:
    """The steps of preference optimisation: `rows` rows of at most `length` tokens each."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        reference: npt.NDArray[np.float64],
        *,
        seed: int,
        rows: int,
        length: int,
        fill: int | None,
    ) -> None:
        """Pack `pairs`, whose `reference` is `[pairs, 2]`; both answers stand in one row.

        `fill` is as in `SupervisedSource`. Raises ValueError where a pair is longer than `length`.
        """
        assert reference.shape == (len(pairs), 2)
        self._pairs = pairs
        self._reference = reference
        self._order = PackedOrder([one.tokens for one in pairs], length, seed=seed)
        self._rows = rows
        self._length = length
        self._fill = fill

    @property
    def steps_an_epoch(self) -> float:
        """Return about how many steps it takes to see every pair once."""
        return self._order.rows_an_epoch / self._rows

    def batch(self, step: int) -> PreferenceBatch:
        """Return the batch of a step, counted from 0: a pure function of (pairs, seed, step)."""
        members = [
            self._order.members(row) for row in range(step * self._rows, (step + 1) * self._rows)
        ]
        return assemble_pairs(
            [[self._pairs[one] for one in row] for row in members],
            self._reference[[one for row in members for one in row]],
            length=self._length,
            fill=self._fill,
        )


def assemble_pairs(
    rows: Sequence[Sequence[Pair]],
    reference: npt.NDArray[np.float64],
    *,
    length: int,
    fill: int | None = None,
) -> PreferenceBatch:
    """Put pairs one after another; `reference` is `[pairs, 2]` in the same order."""
    flat = assemble(
        [[answer for one in row for answer in (one.chosen, one.rejected)] for row in rows],
        length=length,
        fill=fill,
    )
    is_answer: list[bool] = []
    for row, row_length in zip(rows, flat.row_lengths, strict=True):
        is_answer += [True] * (2 * len(row))
        is_answer += [False] * (int(row_length) > sum(one.tokens for one in row))
    return PreferenceBatch(
        flat.tokens,
        flat.lengths,
        flat.targets,
        np.asarray(is_answer, dtype=np.bool_),
        reference,
        flat.row_lengths,
        np.asarray([len(row) for row in rows], dtype=np.int64),
        padding=flat.padding,
        bytes=flat.bytes,
    )


def preference_loss(model: nn.Module, batch: PreferenceBatch, beta: float = BETA) -> Tensor:
    """Return the loss in nats, summed over the pairs of a batch or of a part of one.

    `beta` says how strongly the model is held to the reference.
    """
    import torch

    answers = answer_log_probabilities(model, batch)
    reference = torch.from_numpy(batch.reference).to(answers.device)
    return sigmoid_loss(answers, reference, beta)


def sigmoid_loss(answers: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Return the sum of -log sigmoid(beta (chosen margin - rejected margin)) over pairs.

    `answers` and `reference` are `[pairs, 2]` log-probabilities, chosen first; a margin is how
    far the model's stands above the reference's.
    """
    from torch.nn.functional import logsigmoid

    margins = answers - reference
    return -logsigmoid(beta * (margins[:, 0] - margins[:, 1])).sum()


def answer_log_probabilities(model: nn.Module, batch: PreferenceBatch) -> Tensor:
    """Return the log-probabilities of a batch's answers in nats, float64 `[pairs, 2]`.

    An answer's log-probability is the sum over its trained tokens; the sums are taken in float64,
    because the loss lives on small differences of large ones.
    """
    import torch

    from madang.model.segments import Segments

    device = next(model.parameters()).device
    segments = Segments.from_lengths(torch.from_numpy(batch.lengths), device=device)
    tokens = torch.from_numpy(batch.tokens).to(device)
    targets = torch.from_numpy(batch.targets).to(device)
    log_probabilities: Any = model.log_probabilities
    of_tokens = log_probabilities(tokens, segments, targets).double()
    lengths = torch.from_numpy(batch.lengths.astype(np.int64)).to(device)
    of_segments = torch.segment_reduce(of_tokens, "sum", lengths=lengths)
    return of_segments[torch.from_numpy(batch.is_answer).to(device)].view(-1, 2)


def reference_log_probabilities(
    model: nn.Module, pairs: Sequence[Pair], *, length: int
) -> npt.NDArray[np.float64]:
    """Return what the reference says of every pair, float64 `[pairs, 2]`, in nats.

    The reference is the model as it stands before training, without its adapters where it has
    any. `length` is how many tokens are computed at a time.
    """
    import torch

    found = np.empty((len(pairs), 2))
    sizes = np.asarray([one.tokens for one in pairs], dtype=np.int64)
    with torch.no_grad(), adapters_off(model):
        for group in pack(range(len(pairs)), sizes, length):
            taken = [pairs[one] for one in group]
            batch = assemble_pairs([taken], np.zeros((len(group), 2)), length=length)
            found[list(group)] = answer_log_probabilities(model, batch).cpu().numpy()
    return found


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Let a model's low-rank adapters add nothing for a while."""
    from madang.model.linear import Linear

    layers = [one for one in model.modules() if isinstance(one, Linear)]
    scales = [one.scale for one in layers]
    try:
        for layer in layers:
            layer.scale = 0.0
        yield
    finally:
        for layer, scale in zip(layers, scales, strict=True):
            layer.scale = scale


def encode_preferences(
    preferences: Iterable[Preference], encode: Encode, *, end: int, length: int, path: Path
) -> EncodedPairs:
    """Encode preferences and check that each answer can be learned from.

    Raises DataFileError, with the line, for an answer without an end token or with nothing in it,
    and where no pair is left that fits into `length` tokens.
    """
    pairs: list[Pair] = []
    too_long: list[int] = []
    problems: list[str] = []
    for one in preferences:
        try:
            pair = encode_pair(one, encode, end=end)
        except ValueError as error:
            problems.append(f"{path}: line {one.line}: {error}")
            continue
        if pair.tokens > length:
            too_long.append(one.line)
        else:
            pairs.append(pair)
    if problems:
        raise refuse(problems)
    if not pairs:
        why = f"every pair is longer than {length:,} tokens" if too_long else "holds no pairs"
        raise DataFileError(f"{path}: {why}; nothing can be trained")
    return EncodedPairs(tuple(pairs), tuple(too_long), length)


def encode_pair(preference: Preference, encode: Encode, *, end: int) -> Pair:
    """Encode both answers with the prompt; raise ValueError where one cannot be learned from."""
    earlier = sum(message.role == "assistant" for message in preference.prompt)
    answers = []
    for name, turns in (("chosen", preference.chosen), ("rejected", preference.rejected)):
        if not any(message.role == "assistant" for message in turns):
            raise ValueError(f"has no message of the assistant in {name}, so nothing to learn")
        answer = encode_sample(preference.line, (*preference.prompt, *turns), encode, end=end)
        first = trained_runs(answer.trained)[earlier][0]
        answers.append(untrain(answer, first))
    return Pair(preference.line, answers[0], answers[1])
