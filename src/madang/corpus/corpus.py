"""The corpus: curated documents as tokens, each of which is known by its post."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from madang.corpus.shards import Tokens, open_shard
from madang.text.tokenizer import Tokenizer

FORMAT: Final = 1
SPLITS: Final = ("train", "future")
_BATCH: Final = 4096
_DOCUMENT_COLUMNS: Final = ("document", "split", "language", "depth", "tokens", "bytes")
_POST_COLUMNS: Final = ("posts", "post_starts", "post_ends")


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
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
            columns=[*_DOCUMENT_COLUMNS, "shard", "start"],
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
            pc.equal(self._table["split"], split_name(split)).to_numpy()
        )
        return found

    def keys(self) -> list[str]:
        """Return the key of every document, in the order of the index."""
        keys: list[str] = self._table["document"].to_pylist()
        return keys

    def documents(self, split: str | None = None) -> Iterator[TokenizedDocument]:
        """Yield the documents of a split, or all, in the order of the index."""
        wanted = np.arange(len(self)) if split is None else self.indices(split)
        for start in range(0, len(wanted), _BATCH):
            numbers = wanted[start : start + _BATCH]
            rows = self._table.select(_DOCUMENT_COLUMNS).take(numbers).to_pydict()
            yield from map(TokenizedDocument, numbers.tolist(), *rows.values())

    def document(self, index: int) -> TokenizedDocument:
        """Return one document by its number."""
        row = (self._table[name][index].as_py() for name in _DOCUMENT_COLUMNS)
        return TokenizedDocument(index, *row)

    def key(self, index: int) -> str:
        """Return the key of one document by its number."""
        key: str = self._table["document"][index].as_py()
        return key

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
        before = 0
        for chunk in self._posts["posts"].chunks:
            at = pc.index(chunk.flatten(), post).as_py()
            if at >= 0:
                ends = np.cumsum(pc.list_value_length(chunk).to_numpy())
                inside = int(np.searchsorted(ends, at, side="right"))
                number = at - (int(ends[inside - 1]) if inside else 0)
                return before + inside, self.posts_of(before + inside)[number]
            before += len(chunk)
        return None

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
    def _posts(self) -> pa.Table:
        return pq.read_table(self.folder / "index.parquet", columns=list(_POST_COLUMNS))


def split_name(name: str) -> str:
    """Return the name of a split as it is. Raises ValueError where there is no such split."""
    if name not in SPLITS:
        raise ValueError(f"{name!r} is no split of a corpus; they are {' and '.join(SPLITS)}")
    return name
