"""The weights that come with Madang: the same results as transformers gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from models import pieces, random_tokens
from torch import Tensor
from torch.nn import functional

from madang.engines.engine import EngineError
from madang.engines.smollm2 import smollm2_path
from madang.model import Segments, Transformer, load_gguf, load_hugging_face, save_hugging_face

LENGTHS = [30, 7, 41]


@pytest.fixture(scope="module")
def model() -> Transformer:
    try:
        return load_gguf(smollm2_path())
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(model: Transformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smollm2")
    save_hugging_face(model, path)
    return path


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    found = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert isinstance(found, transformers.LlamaForCausalLM)
    return found.eval()


def _next_tokens(tokens: Tensor) -> Tensor:
    targets = torch.full_like(tokens, -100)
    for piece in pieces(LENGTHS):
        targets[piece][:-1] = tokens[piece][1:]
    return targets


def test_packed_and_padded_input_give_one_result(model: Transformer, theirs: Any) -> None:
    tokens = random_tokens(sum(LENGTHS), model.config.vocabulary)
    targets, segments = _next_tokens(tokens), Segments.from_lengths(LENGTHS)
    hidden = model.hidden(tokens, segments)
    loss = model(tokens, segments, targets) / len(tokens)
    loss.backward()

    padded = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.int64)
    mask = torch.zeros_like(padded)
    for row, piece in enumerate(pieces(LENGTHS)):
        padded[row, : LENGTHS[row]] = tokens[piece]
        mask[row, : LENGTHS[row]] = 1
    flat = theirs(padded, attention_mask=mask).logits[mask.bool()]
    one_by_one = torch.cat([theirs(tokens[p][None]).logits[0] for p in pieces(LENGTHS)])
    torch.testing.assert_close(model.logits(hidden), one_by_one, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.logits(hidden), flat, rtol=1e-4, atol=1e-4)

    expected = functional.cross_entropy(flat, targets, reduction="sum") / len(tokens)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    wanted = {n.removeprefix("model."): p.grad for n, p in theirs.named_parameters()}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-4, msg=name)
    model.zero_grad()
    theirs.zero_grad()


def test_the_folder_gives_the_same_model_back(model: Transformer, folder: Path) -> None:
    again = load_hugging_face(folder)
    assert again.config == model.config
    assert again.config.parameters() == 134_515_008
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
