"""Read Madang's token shards with nothing of Madang's, for peers that train on the same tokens."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Document:
    """A document's tokens with the end token, and which of them spell out its texts."""

    tokens: npt.NDArray[np.int64]
    counted: npt.NDArray[np.bool_]
    bytes: int


@dataclass(frozen=True)
class TokenCorpus:
    """The training documents as one stream, the newest ones document by document."""

    vocabulary: int
    end_of_text: int
    train: npt.NDArray[np.int64]
    future: list[Document]


def read_corpus(folder: Path, seed: int) -> TokenCorpus:
    """Read a folder of shards; the training documents stand in an order drawn by `seed`."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    kind = "<u2" if manifest["vocabulary"] <= 1 << 16 else "<u4"
    shards = [
        np.fromfile(folder / one["file"], dtype=kind).astype(np.int64) for one in manifest["shards"]
    ]
    rows = pq.read_table(
        folder / "index.parquet",
        columns=["split", "shard", "start", "tokens", "bytes", "post_starts"],
    ).to_pylist()

    def tokens(row: dict[str, int]) -> npt.NDArray[np.int64]:
        return shards[row["shard"]][row["start"] : row["start"] + row["tokens"]]

    train = [row for row in rows if row["split"] == "train"]
    random.Random(seed).shuffle(train)
    future = []
    for row in rows:
        if row["split"] == "future" and row["bytes"]:
            # Each post begins with its mark; the last token ends the document.
            counted = np.ones(row["tokens"], dtype=np.bool_)
            counted[row["post_starts"]] = False
            counted[-1] = False
            future.append(Document(tokens(row), counted, row["bytes"]))
    end = int(tokens(train[0])[-1])
    return TokenCorpus(
        manifest["vocabulary"], end, np.concatenate([tokens(row) for row in train]), future
    )
