"""Small runs, really trained for a few steps, in folders as training leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from madang.evaluation import general_documents
from madang.model.hugging_face import save_hugging_face
from madang.model.transformer import ModelConfig, Transformer
from madang.text.tokenizer import Tokenizer, encode_post_thread, train_tokenizer
from madang.training.batch import IGNORED, FixedSource, TrainingBatch
from madang.training.plan import Plan
from madang.training.run import train

LENGTH = 64
VOCABULARY = 512


def small_tokenizer() -> Tokenizer:
    return train_tokenizer([document.texts[0] for document in general_documents()], VOCABULARY)


def small_run(folder: Path, tokenizer: Tokenizer, **fields: Any) -> Path:
    """Train a small model on the general texts for a few steps; return its run's folder."""
    values: dict[str, Any] = {
        "vocabulary": tokenizer.vocabulary_size,
        "width": 64,
        "layers": 2,
        "heads": 2,
        "key_value_heads": 1,
        "head_width": 32,
        "hidden": 128,
        "context": 128,
        "steps": 30,
        "rows": 8,
        "length": LENGTH,
        "micro_rows": 8,
        "matrix_rate": 0.02,
        "embedding_rate": 0.01,
        "vector_rate": 0.01,
        "mkl_cbwr": "AVX2",
        "tokenizer": tokenizer.digest,
    }
    train(Plan(**(values | fields)), FixedSource(_batches(tokenizer, values["rows"])), folder)
    tokenizer.save(folder)
    return folder


def save_base(folder: Path, tokenizer: Tokenizer, **fields: Any) -> Path:
    """Write a base whose matrices are all random, so that every one of them matters."""
    shape: dict[str, Any] = {"qk_norm": True, "tied": True} | fields
    model = Transformer(
        ModelConfig(
            tokenizer.vocabulary_size, width=64, layers=2, heads=2, key_value_heads=1,
            head_width=32, hidden=128, context=128, **shape,
        )
    )  # fmt: skip
    model.initialise(1)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
    save_hugging_face(model, folder)
    return folder


def _batches(tokenizer: Tokenizer, rows: int) -> list[TrainingBatch]:
    ids = [
        token
        for document in general_documents()
        for token in encode_post_thread(tokenizer, document.texts)[0]
    ]
    size = rows * LENGTH
    return [
        _batch(np.asarray(ids[start : start + size + 1], dtype=np.int64))
        for start in range(0, len(ids) - size, size)
    ]


def _batch(ids: np.ndarray) -> TrainingBatch:
    tokens, targets = ids[:-1], ids[1:].copy()
    lengths = np.full(len(tokens) // LENGTH, LENGTH, dtype=np.int32)
    targets[LENGTH - 1 :: LENGTH] = IGNORED
    return TrainingBatch(tokens, lengths, targets)
