"""Supervised fine-tuning: exactly the answers are trained, whole samples, nothing padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from chats import QUESTIONS, chat_tokenizer, conversation, encode, end, write_lines

from madang.model.segments import Segments
from madang.model.transformer import ModelConfig, Transformer
from madang.training.batch import IGNORED
from madang.training.data_files import DataFileError, read_conversations
from madang.training.objective import next_token_loss
from madang.training.supervised import (
    Encoded,
    Sample,
    SupervisedSource,
    encode_conversations,
)


def encoded(folder: Path, rows: Sequence[object], length: int = 128) -> Encoded:
    path = write_lines(folder / "chats.jsonl", rows)
    chats = read_conversations(path)
    return encode_conversations(chats, encode(), end=end(), length=length, path=path)


def samples(folder: Path, count: int = 40) -> tuple[Sample, ...]:
    rows = [conversation(*QUESTIONS[i % len(QUESTIONS)]) for i in range(count)]
    rows[3]["messages"] *= 2
    return encoded(folder, rows).samples


def small_model(seed: int = 0, *, double: bool = False) -> Transformer:
    config = ModelConfig(
        vocabulary=chat_tokenizer().vocabulary_size,
        width=64, layers=2, heads=2, key_value_heads=1, head_width=32, hidden=96,
    )  # fmt: skip
    model = Transformer(config)
    model.initialise(seed)
    with torch.no_grad():
        # Output projections begin at zero, which would leave attention without effect.
        noise = torch.Generator().manual_seed(seed)
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=noise))
    return model.double() if double else model


def test_exactly_the_answers_and_their_ends_are_trained(tmp_path: Path) -> None:
    tokenizer = chat_tokenizer()
    for sample, (_, answer) in zip(
        encoded(tmp_path, [conversation(*one) for one in QUESTIONS]).samples, QUESTIONS, strict=True
    ):
        said = tokenizer.decode(sample.ids[sample.trained].tolist())
        assert said == f"{answer}<|im_end|>"
        assert sample.bytes == len(answer.encode())
        learned = sample.targets[sample.targets != IGNORED]
        assert learned.tolist() == sample.ids[sample.trained].tolist()
        # The first trained target stands at the token right before the answer.
        first = int(np.flatnonzero(sample.targets != IGNORED)[0])
        assert tokenizer.decode(sample.ids[: first + 1].tolist()).endswith(
            "<|im_start|>assistant\n"
        )


@dataclass
class Chat:
    ids: list[int]
    trained: list[bool]


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        (Chat([1, 2, 3], [False] * 3), "has nothing to learn"),
        (Chat([1, 2, 3], [False, True, True]), "has no end token"),
        (Chat([1, 2, 9, 4], [False, False, True, False]), "has an empty message"),
        (Chat([1, 9, 2, 3, 9, 5, 6], [0, 0, 1, 1, 1, 0, 1]), "has no end token"),  # type: ignore[list-item]
    ],
)
def test_a_sample_that_teaches_nothing_right_names_its_line(
    tmp_path: Path, chat: Chat, said: str
) -> None:
    path = write_lines(tmp_path / "chats.jsonl", [conversation("a", "b")])
    chats = read_conversations(path)
    with pytest.raises(DataFileError, match=f"chats.jsonl: line 1: {said}"):
        encode_conversations(chats, lambda _: chat, end=9, length=9, path=path)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Hello?"}],
        [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": " "}],
    ],
)
def test_nothing_to_learn_names_its_line(tmp_path: Path, messages: object) -> None:
    rows = [conversation("a", "b"), {"messages": messages}]
    with pytest.raises(DataFileError, match=r"chats.jsonl: line 2: .*nothing to learn"):
        encoded(tmp_path, rows)


def test_what_is_longer_than_a_row_is_left_out_and_reported(tmp_path: Path) -> None:
    rows = [conversation("a", "b"), conversation("a", "b" * 500), conversation("a", "c")]
    found = encoded(tmp_path, rows)
    assert [one.line for one in found.samples] == [1, 3]
    assert found.left_out is not None
    assert found.left_out.startswith("1 sample is longer than 128 tokens")
    assert "line 2" in found.left_out
    with pytest.raises(DataFileError, match="every sample is longer than 4 tokens"):
        encoded(tmp_path, rows, length=4)


def test_batches_hold_whole_samples_and_no_padding(tmp_path: Path) -> None:
    taken = samples(tmp_path)
    source = SupervisedSource(taken, seed=5, rows=2, length=128, fill=None)
    by_line = {one.line: one for one in taken}
    for step in range(6):
        batch = source.batch(step)
        assert batch.padding == 0
        assert batch.useful == batch.positions == int(batch.lengths.sum())
        assert batch.row_lengths.sum() == batch.positions
        assert max(batch.row_lengths) <= 128
        start = 0
        for line, length in zip(source.lines_of(step), batch.lengths, strict=True):
            stop = start + int(length)
            assert batch.tokens[start:stop].tolist() == by_line[line].ids.tolist()
            assert batch.targets[start:stop].tolist() == by_line[line].targets.tolist()
            start = stop


def test_a_batch_is_a_pure_function_of_seed_and_step(tmp_path: Path) -> None:
    taken = samples(tmp_path)

    def tokens(seed: int, step: int) -> list[int]:
        source = SupervisedSource(taken, seed=seed, rows=2, length=128, fill=None)
        return source.batch(step).tokens.tolist()

    assert tokens(5, 7) == tokens(5, 7)
    assert tokens(5, 7) != tokens(6, 7)
    assert tokens(5, 7) != tokens(5, 8)


def test_filled_rows_have_static_shapes_and_the_same_loss(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    taken = samples(tmp_path)
    plain = SupervisedSource(taken, seed=5, rows=2, length=128, fill=None).batch(1)
    filled = SupervisedSource(taken, seed=5, rows=2, length=128, fill=0).batch(1)
    assert filled.positions == 256
    assert filled.useful == plain.positions
    assert filled.count == plain.count
    model = small_model(double=True)
    losses = [next_token_loss(model, one).item() for one in (plain, filled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


@pytest.mark.parametrize("fill", [None, 0])
def test_parts_make_up_the_whole(tmp_path: Path, fill: int | None) -> None:
    torch.set_num_threads(1)
    source = SupervisedSource(samples(tmp_path), seed=5, rows=4, length=128, fill=fill)
    whole = source.batch(0)
    parts = [whole.part(index, 4) for index in range(4)]
    assert np.concatenate([one.tokens for one in parts]).tolist() == whole.tokens.tolist()
    assert np.concatenate([one.lengths for one in parts]).tolist() == whole.lengths.tolist()
    assert sum(one.count for one in parts) == whole.count
    assert parts[2].part(0, 1).tokens.tolist() == whole.part(1, 2).part(0, 2).tokens.tolist()
    model = small_model(double=True)
    summed = sum(next_token_loss(model, one).item() for one in parts)
    assert summed == pytest.approx(next_token_loss(model, whole).item(), rel=1e-12)
    with pytest.raises(ValueError, match="4 rows of samples cannot be divided into 3 parts"):
        whole.part(0, 3)


def test_packed_samples_are_trained_as_if_each_were_alone(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    taken = samples(tmp_path, count=8)
    model = small_model(double=True)
    alone = 0.0
    for one in taken:
        ids = torch.from_numpy(one.ids.astype(np.int64))
        hidden = model.hidden(ids, Segments.from_lengths([len(ids)]))
        log_p = model.logits(hidden).log_softmax(-1)[:-1].gather(1, ids[1:, None])[:, 0]
        alone -= log_p[torch.from_numpy(one.trained[1:])].sum().item()
    source = SupervisedSource(taken, seed=0, rows=1, length=1024, fill=None)
    packed = next_token_loss(model, source.batch(0)).item()
    assert packed == pytest.approx(alone, rel=1e-10)
