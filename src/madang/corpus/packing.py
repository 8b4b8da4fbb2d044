"""Packing: curated documents are written as token shards, with the index that knows each post."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from madang.corpus.corpus import FORMAT, SPLITS, Corpus, split_name
from madang.corpus.purge import BUILDING, remove, remove_abandoned
from madang.corpus.shards import SHARD_BYTES, ShardWriter
from madang.text.tokenizer import Tokenizer, join_posts

_BATCH_DOCUMENTS: Final = 1024

INDEX_SCHEMA: Final = pa.schema(
    [
        pa.field("document", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("depth", pa.int32(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        # In the shard, in tokens.
        pa.field("start", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        # UTF-8 bytes of its texts, without what stands between posts.
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("posts", pa.list_(pa.string()), nullable=False),
        # Each post's first token in the document, and the one after its last.
        pa.field("post_starts", pa.list_(pa.int64()), nullable=False),
        pa.field("post_ends", pa.list_(pa.int64()), nullable=False),
    ]
)

Progress = Callable[[int, int], None]
"""Called with how many documents are done, of how many."""


def tokenize(
    curated: Path | str,
    tokenizer: Tokenizer,
    *,
    workers: int | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Corpus:
    """Write the documents of a curated folder as tokens, into `tokens-…` beneath it.

    All cores encode, or this thread alone where `workers` is 1; the bytes written are the same.
    What is there already is opened, and written again only where it is damaged. The folder
    appears whole or not at all. Raises ValueError where the curated folder is not one or has no
    documents, and OSError where the disk is full.
    """
    curated = Path(curated)
    target = curated / f"tokens-{tokenizer.digest[:12]}"
    if target.exists():
        try:
            return Corpus.open(target)
        except ValueError:
            # Damaged, or of another version; all that was in it can be made anew.
            remove(target)
    try:
        source = json.loads((curated / "manifest.json").read_text("utf-8"))["fingerprint"]
        documents = pq.ParquetFile(curated / "documents.parquet")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{curated} holds no curated documents ({error}); curate first") from None
    if documents.metadata.num_rows == 0:
        raise ValueError(f"{curated} holds no documents; bring posts that may be trained on")
    remove_abandoned(curated)
    temporary = Path(tempfile.mkdtemp(prefix=f"{BUILDING}{os.getpid()}-", dir=curated))
    try:
        _write(documents, source, tokenizer, temporary, workers, shard_bytes, progress)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            # Another process was faster; its bytes are the same.
            if not target.exists():
                raise
    except OSError as error:
        if not curated.exists():
            raise ValueError(
                f"{curated} was removed while its tokens were written, because a post in it was "
                "erased; curate again"
            ) from None
        raise OSError(
            error.errno, f"the tokens of {curated} cannot be written ({error.strerror})"
        ) from error
    finally:
        documents.close()
        shutil.rmtree(temporary, ignore_errors=True)
    return Corpus.open(target)


def _write(
    documents: pq.ParquetFile,
    source: str,
    tokenizer: Tokenizer,
    folder: Path,
    workers: int | None,
    shard_bytes: int,
    progress: Progress | None,
) -> None:
    # First, because it would make the folder anew where that was removed meanwhile.
    tokenizer.save(folder)
    shards = ShardWriter(folder, tokenizer.vocabulary_size, shard_bytes)
    counts = {split: {"documents": 0, "tokens": 0, "bytes": 0} for split in SPLITS}
    seen: set[str] = set()
    of = documents.metadata.num_rows
    try:
        with pq.ParquetWriter(folder / "index.parquet", INDEX_SCHEMA, compression="zstd") as index:
            for batch in documents.iter_batches(
                _BATCH_DOCUMENTS,
                columns=["document", "posts", "texts", "language", "split", "depth"],
            ):
                rows = [
                    _row(row, ids, tokenizer, shards)
                    for row, ids in _encoded(batch.to_pylist(), tokenizer, workers)
                ]
                for row in rows:
                    if row["document"] in seen:
                        raise ValueError(
                            f"the document {row['document']} is there twice; curate the posts anew"
                        )
                    seen.add(row["document"])
                    count = counts[row["split"]]
                    count["documents"] += 1
                    count["tokens"] += row["tokens"]
                    count["bytes"] += row["bytes"]
                index.write_table(pa.Table.from_pylist(rows, INDEX_SCHEMA))
                if progress is not None:
                    progress(len(seen), of)
        written = shards.close()
    finally:
        shards.abandon()
    manifest = {
        "format": FORMAT,
        "fingerprint": _fingerprint(source, tokenizer.digest),
        "curated": source,
        "tokenizer": tokenizer.digest,
        "vocabulary": tokenizer.vocabulary_size,
        "shards": [asdict(shard) for shard in written],
        "counts": counts,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    for path in [*folder.iterdir(), folder]:
        _sync(path)


def _encoded(
    rows: list[dict[str, Any]], tokenizer: Tokenizer, workers: int | None
) -> Iterator[tuple[dict[str, Any], list[list[int]]]]:
    """Yield each row with the ids of its texts."""
    texts = [text for row in rows for text in row["texts"]]
    if workers == 1:
        ids = iter([tokenizer.encode(text) for text in texts])
    else:
        ids = iter(tokenizer.encode_batch(texts))
    for row in rows:
        yield row, [next(ids) for _ in row["texts"]]


def _row(
    row: dict[str, Any], posts: list[list[int]], tokenizer: Tokenizer, shards: ShardWriter
) -> dict[str, Any]:
    """Write a document's tokens and return its line of the index."""
    ids, offsets = join_posts(tokenizer, posts)
    shard, start = shards.write(ids)
    return {
        "document": row["document"],
        "split": split_name(row["split"]),
        "language": row["language"] or "und",
        "depth": row["depth"],
        "shard": shard,
        "start": start,
        "tokens": len(ids),
        "bytes": sum(len(text.encode()) for text in row["texts"]),
        "posts": row["posts"],
        "post_starts": offsets[:-1],
        "post_ends": offsets[1:],
    }


def training_texts(curated: Path | str) -> Iterator[tuple[str, str]]:
    """Yield `(language, text)` of each post of a curated folder that is for training.

    The language is the document's.
    """
    with pq.ParquetFile(Path(curated) / "documents.parquet") as documents:
        columns = ["texts", "split", "language"]
        for batch in documents.iter_batches(_BATCH_DOCUMENTS, columns=columns):
            for row in batch.to_pylist():
                if row["split"] == "train":
                    yield from ((row["language"], text) for text in row["texts"])


def _fingerprint(source: str, tokenizer: str) -> str:
    stated = {"curated": source, "format": FORMAT, "tokenizer": tokenizer}
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
