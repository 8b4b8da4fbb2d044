"""A small model whose predictions depend on what it reads, and its tokenizer."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from drawn_models import drawn  # noqa: E402

from madang.evaluation import general_documents  # noqa: E402
from madang.model.transformer import Transformer  # noqa: E402
from madang.text.tokenizer import Tokenizer, train_tokenizer  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer([document.texts[0] for document in general_documents()], 512)


@pytest.fixture(scope="session")
def model(tokenizer: Tokenizer) -> Transformer:
    return drawn(tokenizer.vocabulary_size, seed=0)
