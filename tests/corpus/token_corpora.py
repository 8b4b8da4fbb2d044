"""Small corpora of tokens, for tests that are about what follows curation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from madang.corpus.corpus import Corpus
from madang.corpus.curated import DOCUMENTS
from madang.corpus.packing import tokenize
from madang.text.tokenizer import Tokenizer, train_tokenizer

# Each of these letters is one token, so that a token tells which text it is from.
LETTERS = [chr(0xAC00 + 7 * number) for number in range(300)]
TOKENIZER = train_tokenizer([letter for letter in LETTERS for _ in range(3)], 1500)

Texts = Mapping[str, Sequence[str]]


def write_curated(
    folder: Path, documents: Texts, *, future: Sequence[str] = (), language: str = "ko"
) -> Path:
    """Write documents (key to texts) as `curate` does, into a folder named by what is in it.

    The posts of the document `d` are `d/0`, `d/1`, …
    """
    rows = [
        {
            "document": key,
            "posts": [f"{key}/{number}" for number in range(len(texts))],
            "texts": list(texts),
            "language": language,
            "time": None,
            "split": "future" if key in future else "train",
            "depth": len(texts),
        }
        for key, texts in documents.items()
    ]
    fingerprint = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    target = folder / fingerprint
    target.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, DOCUMENTS), target / "documents.parquet")
    (target / "manifest.json").write_text(json.dumps({"fingerprint": fingerprint}))
    return target


def build(
    folder: Path,
    documents: Texts,
    *,
    tokenizer: Tokenizer = TOKENIZER,
    future: Sequence[str] = (),
    shard_bytes: int = 1 << 20,
) -> Corpus:
    """Write documents and tokenize them."""
    curated = write_curated(folder, documents, future=future)
    return tokenize(curated, tokenizer, shard_bytes=shard_bytes)
