"""A curated corpus on disk: documents, and the decision on every post."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from madang.corpus.decision import Decision, read_decisions
from madang.corpus.policy import Policy

Split = Literal["train", "future"]

DOCUMENTS: Final = pa.schema(
    [
        pa.field("document", pa.string(), nullable=False),
        pa.field("posts", pa.list_(pa.string()), nullable=False),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("split", pa.string(), nullable=False),
        pa.field("depth", pa.int32(), nullable=False),
    ]
)
"""The columns of documents.parquet, one row a thread, in the order of their first posts' keys."""


@dataclass(frozen=True, slots=True)
class Document:
    """A thread as it is trained on.

    `document` is the thread's key in the log; `posts` are ids and `texts` their texts without
    personal data, in reading order; `time` is that of the newest dated post; `depth` is how many
    posts deep the replies go, 1 for a post alone.
    """

    document: str
    posts: tuple[str, ...]
    texts: tuple[str, ...]
    language: str
    time: datetime | None
    split: Split
    depth: int


@dataclass(frozen=True, slots=True)
class Curated:
    """A finished folder. `counts` are those of the manifest; see `curation.curate`."""

    folder: Path
    fingerprint: str
    policy: Policy
    counts: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `curate` wrote. Raises ValueError where the folder is not a whole corpus."""
        try:
            manifest = orjson.loads((folder / "manifest.json").read_bytes())
            return cls(
                folder,
                manifest["fingerprint"],
                Policy.from_dict(manifest["policy"]),
                manifest["counts"],
            )
        except (OSError, KeyError, TypeError, orjson.JSONDecodeError) as error:
            raise ValueError(
                f"{folder} holds no whole corpus ({error}); remove it and curate again"
            ) from error

    def documents(self, split: Split | None = None) -> Iterator[Document]:
        """Yield the documents, or a split's, in the file's order, without holding it in memory."""
        with pq.ParquetFile(self.folder / "documents.parquet") as file:
            for batch in file.iter_batches(batch_size=1024):
                if split is not None:
                    batch = batch.filter(pc.equal(batch["split"], split))
                for row in batch.to_pylist():
                    row["posts"], row["texts"] = tuple(row["posts"]), tuple(row["texts"])
                    yield Document(**row)

    def training_bytes(self) -> dict[str, int]:
        """Return the UTF-8 bytes of what is trained on, by the documents' language."""
        found: dict[str, int] = {}
        with pq.ParquetFile(self.folder / "documents.parquet") as file:
            for batch in file.iter_batches(columns=["texts", "language", "split"]):
                batch = batch.filter(pc.equal(batch["split"], "train"))
                texts = batch["texts"]
                each = pa.table(
                    {
                        "language": batch["language"].take(pc.list_parent_indices(texts)),
                        "bytes": pc.binary_length(texts.flatten()),
                    }
                )
                for row in each.group_by("language").aggregate([("bytes", "sum")]).to_pylist():
                    found[row["language"]] = found.get(row["language"], 0) + row["bytes_sum"]
        return found

    def decisions(self) -> Iterator[Decision]:
        """Yield the decision on every post of the log, in the order of keys."""
        return read_decisions(self.folder / "decisions.parquet")
