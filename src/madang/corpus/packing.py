"""Packing: curated documents are written as token shards, with the index that knows each post."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from madang.corpus.batches import among_the_first
from madang.corpus.corpus import FORMAT, SPLITS, Corpus, split_name
from madang.corpus.purge import BUILDING, remove, remove_abandoned
from madang.corpus.shards import SHARD_BYTES, ShardWriter
from madang.text.tokenizer import Tokenizer, join_posts

_BATCH_DOCUMENTS: Final = 8192

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


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first `share` of the documents, as runs of a seed read them; those for evaluation stay.

    A run that does not reach the rest has the same batches as with all of them.
    """

    share: float
    seed: int

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the documents of a batch that are among them."""
        keys = [one.encode() for one in batch["document"].to_pylist()]
        first = pa.array(among_the_first(keys, self.seed, self.share))
        return batch.filter(pc.or_(first, pc.not_equal(batch["split"], "train")))


def tokenize(
    curated: Path | str,
    tokenizer: Tokenizer,
    *,
    workers: int | None = None,
    beginning: Beginning | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Corpus:
    """Write the documents of a curated folder, or their beginning, as tokens beneath it.

    All cores encode, or this thread alone where `workers` is 1; the bytes written are the same.
    What is there already is opened, and written again only where it is damaged. The folder
    appears whole or not at all. Raises ValueError where the curated folder is not one or has no
    documents, and OSError where the disk is full.
    """
    curated = Path(curated)
    target = curated / f"tokens-{tokenizer.digest[:12]}{_part(beginning)}"
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
        _write(documents, source, tokenizer, temporary, workers, beginning, shard_bytes, progress)
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
    beginning: Beginning | None,
    shard_bytes: int,
    progress: Progress | None,
) -> None:
    # First, because it would make the folder anew where that was removed meanwhile.
    tokenizer.save(folder)
    shards = ShardWriter(folder, tokenizer.vocabulary_size, shard_bytes)
    counts = {split: {"documents": 0, "tokens": 0, "bytes": 0} for split in SPLITS}
    seen: set[str] = set()
    of = documents.metadata.num_rows
    columns = ["document", "posts", "texts", "language", "split", "depth"]
    try:
        with pq.ParquetWriter(folder / "index.parquet", INDEX_SCHEMA, compression="zstd") as index:
            batches: Iterable[pa.RecordBatch] = _checked(_batches(documents, columns), seen)
            if beginning is not None:
                batches = filter(len, map(beginning.of, batches))
            for batch, ids in _encoded(batches, tokenizer, workers):
                rows = _rows(batch, ids, tokenizer, shards)
                for split, count in counts.items():
                    here = rows.filter(pc.equal(rows["split"], split))
                    count["documents"] += len(here)
                    count["tokens"] += pc.sum(here["tokens"], min_count=0).as_py()
                    count["bytes"] += pc.sum(here["bytes"], min_count=0).as_py()
                index.write_batch(rows)
                if progress is not None:
                    progress(len(seen), of)
        written = shards.close()
    finally:
        shards.abandon()
    manifest = {
        "format": FORMAT,
        "fingerprint": _fingerprint(source, tokenizer.digest, beginning),
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
    batches: Iterable[pa.RecordBatch], tokenizer: Tokenizer, workers: int | None
) -> Iterator[tuple[pa.RecordBatch, list[list[int]]]]:
    """Yield each batch with the ids of its texts; the next one is encoded meanwhile."""
    if workers == 1:
        for batch in batches:
            yield batch, [tokenizer.encode(text) for text in _texts(batch)]
        return
    with ThreadPoolExecutor(1, thread_name_prefix="encode") as ahead:
        before: tuple[pa.RecordBatch, Future[list[list[int]]]] | None = None
        for batch in batches:
            encoding = ahead.submit(tokenizer.encode_batch, _texts(batch))
            if before is not None:
                yield before[0], before[1].result()
            before = batch, encoding
        if before is not None:
            yield before[0], before[1].result()


def _texts(batch: pa.RecordBatch) -> list[str]:
    texts: list[str] = batch["texts"].flatten().to_pylist()
    return texts


def _batches(documents: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the documents; no batch goes beyond a row group, which is bounded in characters."""
    for number in range(documents.num_row_groups):
        yield from documents.iter_batches(_BATCH_DOCUMENTS, row_groups=[number], columns=columns)


def _checked(batches: Iterable[pa.RecordBatch], seen: set[str]) -> Iterator[pa.RecordBatch]:
    """Yield the batches, their documents' names taken in.

    Raises ValueError for a split or a document that cannot be.
    """
    for batch in batches:
        for split in pc.unique(batch["split"]).to_pylist():
            split_name(split)
        for document in batch["document"].to_pylist():
            if document in seen:
                raise ValueError(f"the document {document} is there twice; curate the posts anew")
            seen.add(document)
        yield batch


def _rows(
    batch: pa.RecordBatch, ids: list[list[int]], tokenizer: Tokenizer, shards: ShardWriter
) -> pa.RecordBatch:
    """Write the documents' tokens and return their lines of the index."""
    posts = iter(ids)
    sizes = pc.list_value_length(batch["texts"]).to_numpy()
    places, tokens, starts, ends = [], [], [], []
    for size in sizes.tolist():
        document, offsets = join_posts(tokenizer, list(islice(posts, size)))
        places.append(shards.write(document))
        tokens.append(len(document))
        starts += offsets[:-1]
        ends += offsets[1:]
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    lengths = pc.binary_length(batch["texts"].flatten()).to_numpy()
    spelt = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))[bounds]
    shards_of, starts_of = zip(*places, strict=True)
    of_posts = pa.array(bounds, pa.int32())
    arrays = [
        batch["document"],
        batch["split"],
        batch["language"],
        batch["depth"],
        pa.array(shards_of, pa.int32()),
        pa.array(starts_of, pa.int64()),
        pa.array(tokens, pa.int64()),
        pa.array(np.diff(spelt), pa.int64()),
        batch["posts"].cast(INDEX_SCHEMA.field("posts").type),
        pa.ListArray.from_arrays(of_posts, pa.array(starts, pa.int64())),
        pa.ListArray.from_arrays(of_posts, pa.array(ends, pa.int64())),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=INDEX_SCHEMA)


def training_texts(curated: Path | str) -> Iterator[tuple[str, str]]:
    """Yield `(language, text)` of each post of a curated folder that is for training.

    The language is the document's.
    """
    with pq.ParquetFile(Path(curated) / "documents.parquet") as documents:
        for batch in _batches(documents, ["texts", "split", "language"]):
            batch = batch.filter(pc.equal(batch["split"], "train"))
            languages = batch["language"].take(pc.list_parent_indices(batch["texts"]))
            yield from zip(languages.to_pylist(), _texts(batch), strict=True)


def _part(beginning: Beginning | None) -> str:
    return "" if beginning is None else f"-{beginning.share:g}-of-seed-{beginning.seed}"


def _fingerprint(source: str, tokenizer: str, beginning: Beginning | None) -> str:
    stated: dict[str, Any] = {"curated": source, "format": FORMAT, "tokenizer": tokenizer}
    if beginning is not None:
        stated["beginning"] = asdict(beginning)
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
