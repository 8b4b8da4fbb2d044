"""Preference optimisation against the closed form, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from chats import chat_tokenizer, encode, end, write_lines
from hypothesis import given
from hypothesis import strategies as st
from test_supervised import small_model
from torch.nn.functional import log_softmax

from madang.model.lora import LoraConfig, add_lora
from madang.model.segments import Segments
from madang.model.transformer import Transformer
from madang.training.data_files import DataFileError, read_preferences
from madang.training.preference import (
    Pair,
    PreferenceBatch,
    PreferenceSource,
    assemble_pairs,
    encode_preferences,
    preference_loss,
    reference_log_probabilities,
    sigmoid_loss,
)

ROWS = [
    {"prompt": "When does the ferry leave?", "chosen": "At nine.", "rejected": "Never ask again!"},
    {"prompt": "뱃삯은 얼마예요?", "chosen": "3,500원입니다.", "rejected": "몰라요."},
    {
        "prompt": "Where?",
        "chosen": "Behind the harbour wall.",
        "rejected": "Somewhere, I think. 🙂",
    },
    {"prompt": "등대가 있나요?", "chosen": "네, 하나 있습니다.", "rejected": "아니요."},
]


def encoded(folder: Path, rows: Sequence[object] = ROWS, length: int = 256) -> tuple[Pair, ...]:
    path = write_lines(folder / "pairs.jsonl", rows)
    found = encode_preferences(
        read_preferences(path), encode(), end=end(), length=length, path=path
    )
    return found.pairs


def plain_log_probability(model: Transformer, pair: Pair, *, chosen: bool) -> torch.Tensor:
    """Return an answer's log-probability from the whole logits of one sequence."""
    answer = pair.chosen if chosen else pair.rejected
    ids = torch.from_numpy(answer.ids.astype(np.int64))
    logits = model.logits(model.hidden(ids, Segments.from_lengths([len(ids)])))
    of_tokens = log_softmax(logits[:-1], -1).gather(1, ids[1:, None])[:, 0]
    return of_tokens[torch.from_numpy(answer.trained[1:])].sum()


def plain_loss(model: Transformer, reference: Transformer, pairs: Sequence[Pair]) -> torch.Tensor:
    """Return equation 7 of the paper, word for word, over pairs one by one."""
    total = torch.zeros((), dtype=torch.float64)
    for pair in pairs:
        ratios = []
        for chosen in (True, False):
            with torch.no_grad():
                stood = plain_log_probability(reference, pair, chosen=chosen)
            ratios.append(plain_log_probability(model, pair, chosen=chosen) - stood)
        total = total - torch.log(torch.sigmoid(0.1 * ratios[0] - 0.1 * ratios[1]))
    return total


def whole_batch(pairs: Sequence[Pair], reference: np.ndarray) -> PreferenceBatch:
    return assemble_pairs([pairs], reference, length=1024)


def test_only_the_answers_are_trained(tmp_path: Path) -> None:
    tokenizer = chat_tokenizer()
    for pair, row in zip(encoded(tmp_path), ROWS, strict=True):
        for answer, name in ((pair.chosen, "chosen"), (pair.rejected, "rejected")):
            said = tokenizer.decode(answer.ids[answer.trained].tolist())
            assert said == f"{row[name]}<|im_end|>"


def test_earlier_answers_in_the_prompt_are_not_trained(tmp_path: Path) -> None:
    turns = [("user", "Hello?"), ("assistant", "Hello."), ("user", "And the fare?")]
    prompt = [{"role": role, "content": content} for role, content in turns]
    (pair,) = encoded(tmp_path, [{"prompt": prompt, "chosen": "3,500 won.", "rejected": "No."}])
    said = chat_tokenizer().decode(pair.chosen.ids[pair.chosen.trained].tolist())
    assert said == "3,500 won.<|im_end|>"


def test_loss_and_every_gradient_equal_the_closed_form(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    pairs = encoded(tmp_path)
    reference, model = small_model(0, double=True), small_model(1, double=True)
    stood = reference_log_probabilities(reference, pairs, length=90)
    loss = preference_loss(model, whole_batch(pairs, stood))
    loss.backward()
    ours = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    model.zero_grad()
    expected = plain_loss(model, reference, pairs)
    expected.backward()
    theirs = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert len(ours) == len(theirs) == len(list(model.parameters()))
    for mine, plain in zip(ours, theirs, strict=True):
        assert (mine - plain).norm() <= 1e-10 * plain.norm()


def test_before_the_first_step_the_loss_is_the_logarithm_of_two(tmp_path: Path) -> None:
    pairs = encoded(tmp_path)
    model = small_model()
    stood = reference_log_probabilities(model, pairs, length=256)
    loss = preference_loss(model, whole_batch(pairs, stood))
    assert loss.item() == pytest.approx(len(pairs) * np.log(2), rel=1e-6)


def test_the_reference_of_a_lora_is_its_base(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    pairs = encoded(tmp_path)
    model = small_model()
    base = reference_log_probabilities(model, pairs, length=256)
    add_lora(model, LoraConfig(rank=4, alpha=8), seed=0)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("lora_b"):
                weight.normal_(0, 0.1, generator=noise)
    batch = whole_batch(pairs, base)
    moved = preference_loss(model, batch).item()
    assert abs(moved - len(pairs) * np.log(2)) > 1e-3
    assert reference_log_probabilities(model, pairs, length=256) == pytest.approx(base, rel=1e-5)
    # The adapters work again afterwards.
    assert preference_loss(model, batch).item() == moved


def test_parts_filled_or_not_make_up_the_whole(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    pairs = encoded(tmp_path) * 5
    model, reference = small_model(1, double=True), small_model(0, double=True)
    stood = reference_log_probabilities(reference, pairs, length=256)
    losses = []
    for fill in (None, 0):
        source = PreferenceSource(pairs, stood, seed=2, rows=2, length=256, fill=fill)
        whole = source.batch(1)
        parts = [whole.part(index, 2) for index in range(2)]
        assert sum(one.count for one in parts) == whole.count > 2
        assert fill is None or {one.positions for one in parts} == {256}
        for one in (whole, *parts):
            assert int(one.lengths.sum()) == one.positions
            assert one.is_answer.sum() == 2 * one.count
        summed = sum(preference_loss(model, one).item() for one in parts)
        losses += [summed, preference_loss(model, whole).item()]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-12)


def test_training_prefers_the_chosen_answers(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    pairs = encoded(tmp_path)
    model = small_model()
    stood = reference_log_probabilities(model, pairs, length=256)
    batch = whole_batch(pairs, stood)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        loss = preference_loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = reference_log_probabilities(model, pairs, length=256) - stood
    assert losses[-1] < 0.5 * losses[0]
    assert (after[:, 0] > after[:, 1]).all()


def test_bad_pairs_name_their_line(tmp_path: Path) -> None:
    silent = [{"role": "user", "content": "b"}]
    with pytest.raises(DataFileError, match=r"line 2: has no message of the assistant in rejected"):
        encoded(tmp_path, [ROWS[0], {"prompt": "a", "chosen": "c", "rejected": silent}])
    with pytest.raises(DataFileError, match="every pair is longer than 10 tokens"):
        encoded(tmp_path, length=10)


numbers = st.floats(-2000, 0, allow_nan=False)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=8))
def test_the_loss_is_finite_and_exact_for_any_margins(
    rows: list[tuple[float, float, float, float]],
) -> None:
    table = torch.tensor(rows, dtype=torch.float64)
    loss = sigmoid_loss(table[:, :2], table[:, 2:], 0.1).item()
    expected = sum(np.logaddexp(0, -0.1 * ((a - c) - (b - d))) for a, b, c, d in rows)
    assert loss == pytest.approx(expected, rel=1e-9, abs=1e-12)
