"""The corpus: curated documents as tokens, each of which is known by its post."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from madang.corpus.packing import SHARD_BYTES, ShardWriter, Tokens, open_shard
from madang.text.tokenizer import Tokenizer, join_posts

FORMAT: Final = 1
SPLITS: Final = ("train", "future")
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


@dataclass(frozen=True, slots=True)
class Document:
    """A thread in a corpus. `index` is its number there; `tokens` and `bytes` are its lengths."""

    index: int
    key: str
    split: str
    language: str
    depth: int
    tokens: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PostSpan:
    """A post's tokens in its document: from `start` up to `end`."""

    post: str
    start: int
    end: int


class Corpus:
    """A folder of token shards with their index; memory holds a few numbers a document."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Take an opened folder; use `Corpus.open`."""
        self.folder = folder
        self.fingerprint: str = manifest["fingerprint"]
        self.vocabulary_size: int = manifest["vocabulary"]
        self.counts: Mapping[str, Mapping[str, int]] = manifest["counts"]
        self._manifest = manifest
        table = pq.read_table(
            folder / "index.parquet",
            columns=["document", "split", "language", "depth", "shard", "start", "tokens", "bytes"],
            read_dictionary=["split", "language"],
        )
        self._table = table.combine_chunks()
        self.token_counts: npt.NDArray[np.int64] = table["tokens"].to_numpy()
        self.byte_counts: npt.NDArray[np.int64] = table["bytes"].to_numpy()
        self._shard_of: npt.NDArray[np.int32] = table["shard"].to_numpy()
        self._start_of: npt.NDArray[np.int64] = table["start"].to_numpy()
        self._shards: list[Tokens] = [
            open_shard(folder / one["file"], one["tokens"], self.vocabulary_size)
            for one in manifest["shards"]
        ]

    @classmethod
    def open(cls, folder: Path | str) -> Corpus:
        """Open what `tokenize` wrote. Raises ValueError where it is missing or damaged."""
        folder = Path(folder)
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
            if manifest["format"] != FORMAT:
                raise ValueError(
                    f"{folder} was written by another version; delete it and it is built anew"
                )
            return cls(folder, manifest)
        except FileNotFoundError:
            raise ValueError(f"{folder} is no corpus; tokenize the curated posts first") from None
        except (KeyError, TypeError, json.JSONDecodeError, pa.ArrowInvalid) as error:
            raise ValueError(
                f"{folder} is damaged ({error}); delete it and it is built anew"
            ) from None

    def __len__(self) -> int:
        return len(self.token_counts)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens."""
        return Tokenizer.load(self.folder)

    @property
    def tokenizer_digest(self) -> str:
        """`Tokenizer.digest` of it, without loading it."""
        return str(self._manifest["tokenizer"])

    @property
    def train_tokens(self) -> int:
        """Tokens that are for training."""
        return self.counts["train"]["tokens"]

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of the texts that are for training."""
        return self.counts["train"]["bytes"]

    @property
    def future_tokens(self) -> int:
        """Tokens of the newest posts, which are for evaluation only."""
        return self.counts["future"]["tokens"]

    @property
    def future_bytes(self) -> int:
        """UTF-8 bytes of the newest posts."""
        return self.counts["future"]["bytes"]

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Return the numbers of a split's documents, in the order of the index."""
        found: npt.NDArray[np.int64] = np.flatnonzero(
            pc.equal(self._table["split"], _split(split)).to_numpy()
        )
        return found

    def keys(self) -> list[str]:
        """Return the key of every document, in the order of the index."""
        keys: list[str] = self._table["document"].to_pylist()
        return keys

    def documents(self, split: str | None = None) -> Iterator[Document]:
        """Yield the documents of a split, or all, in the order of the index."""
        numbers = range(len(self)) if split is None else self.indices(split).tolist()
        for number in numbers:
            yield self.document(number)

    def document(self, index: int) -> Document:
        """Return one document by its number."""
        columns = ("document", "split", "language", "depth", "tokens", "bytes")
        return Document(index, *(self._table[name][index].as_py() for name in columns))

    def tokens_of(self, index: int) -> Tokens:
        """Return a document's token ids, `[tokens]`, a view of the file."""
        start = self._start_of[index]
        tokens: Tokens = self._shards[self._shard_of[index]][start:][: self.token_counts[index]]
        return tokens

    def gather(
        self, documents: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return the token at each offset of the document beside it, `[n]` to `[n]`."""
        places = self._start_of[documents] + offsets
        if len(self._shards) == 1:
            only: npt.NDArray[np.int64] = self._shards[0][places].astype(np.int64)
            return only
        shards = self._shard_of[documents]
        tokens = np.empty(len(places), dtype=np.int64)
        for shard in np.unique(shards):
            here = shards == shard
            tokens[here] = self._shards[shard][places[here]]
        return tokens

    def posts_of(self, index: int) -> list[PostSpan]:
        """Return the posts of a document in order; together they hold each of its tokens once."""
        columns = (self._posts[name][index].as_py() for name in _POST_COLUMNS)
        return [PostSpan(*span) for span in zip(*columns, strict=True)]

    def find_post(self, post: str) -> tuple[int, PostSpan] | None:
        """Return the document that holds a post, and where in it; none where there is none."""
        lists = self._posts["posts"]
        at = pc.index(lists.values, post).as_py()
        if at < 0:
            return None
        index = int(np.searchsorted(lists.offsets.to_numpy(), at, side="right")) - 1
        number = at - lists.offsets[index].as_py()
        return index, self.posts_of(index)[number]

    def verify(self) -> None:
        """Compare every shard with its SHA-256. Raises ValueError where one differs."""
        for one in self._manifest["shards"]:
            with (self.folder / one["file"]).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != one["sha256"]:
                    raise ValueError(
                        f"{self.folder / one['file']} is damaged; "
                        f"delete {self.folder} and it is built anew"
                    )

    @cached_property
    def _posts(self) -> Mapping[str, Any]:
        table = pq.read_table(self.folder / "index.parquet", columns=list(_POST_COLUMNS))
        return {name: table[name].combine_chunks() for name in _POST_COLUMNS}


_POST_COLUMNS: Final = ("posts", "post_starts", "post_ends")


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
    What is there already is opened and not written again. The folder appears whole or not at
    all. Raises ValueError where the curated folder is not one or has no documents, and OSError
    where the disk is full.
    """
    curated = Path(curated)
    target = curated / f"tokens-{tokenizer.digest[:12]}"
    if target.exists():
        return Corpus.open(target)
    try:
        source = json.loads((curated / "manifest.json").read_text("utf-8"))["fingerprint"]
        documents = pq.ParquetFile(curated / "documents.parquet")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{curated} holds no curated documents ({error})") from None
    if documents.metadata.num_rows == 0:
        raise ValueError(f"{curated} holds no documents; bring posts that may be trained on")
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=curated))
    try:
        _write(documents, source, tokenizer, temporary, workers, shard_bytes, progress)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            # Another process was faster; its bytes are the same.
            if not target.exists():
                raise
    finally:
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
    tokenizer.save(folder)
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
        "split": _split(row["split"]),
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


def training_texts(curated: Path | str) -> Iterator[str]:
    """Yield the texts of a curated folder that are for training, for learning a vocabulary."""
    documents = pq.ParquetFile(Path(curated) / "documents.parquet")
    for batch in documents.iter_batches(_BATCH_DOCUMENTS, columns=["texts", "split"]):
        for row in batch.to_pylist():
            if row["split"] == "train":
                yield from row["texts"]


def _fingerprint(source: str, tokenizer: str) -> str:
    stated = {"curated": source, "format": FORMAT, "tokenizer": tokenizer}
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _split(name: str) -> str:
    if name not in SPLITS:
        raise ValueError(f"{name!r} is no split of a corpus; they are {' and '.join(SPLITS)}")
    return name


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
