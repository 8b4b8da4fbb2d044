"""Documents from files, without a log: general text, benchmarks, posts for one run.

What is in them is taken as it is. Consent, duplicates and personal data are the business of
`curate`, which posts of a community go through.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from madang.corpus.corpus import Corpus
from madang.corpus.curated import DOCUMENTS
from madang.corpus.examine import UNDATED
from madang.corpus.packing import tokenize
from madang.corpus.purge import BUILDING, remove_abandoned
from madang.corpus.split import cut_off
from madang.corpus.threads import thread_order
from madang.text import detect_language
from madang.text.tokenizer import Tokenizer

DOCUMENT_CHARACTERS: Final = 8192
_JSON_LINES: Final = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n+")


@dataclass(frozen=True, slots=True)
class _Post:
    id: str
    text: str
    language: str
    time: int | None
    parent: str | None
    thread: str | None


@dataclass(frozen=True, slots=True)
class _Document:
    document: str
    posts: list[str]
    texts: list[str]
    language: str
    time: int | None
    split: str
    depth: int


def corpus_from_text(
    files: Sequence[Path | str],
    folder: Path | str,
    tokenizer: Tokenizer,
    *,
    document_characters: int = DOCUMENT_CHARACTERS,
    future_share: float = 0.0,
) -> Corpus:
    """Make a corpus of plain texts and of JSON lines of posts; see `documents_from_text`."""
    documents = documents_from_text(
        files, folder, document_characters=document_characters, future_share=future_share
    )
    return tokenize(documents, tokenizer)


def documents_from_text(
    files: Sequence[Path | str],
    folder: Path | str,
    *,
    document_characters: int = DOCUMENT_CHARACTERS,
    future_share: float = 0.0,
) -> Path:
    """Write the documents of files into `folder/<fingerprint>` and return that.

    A file that ends in `.jsonl` or `.ndjson` (or these with `.gz`) holds posts: a row has `text`
    and may have `id`, `lang`, `created_at`, `reply_to` and `thread`; a thread is a document, in
    the order of time. Any other file is plain text, cut after blank lines into documents of up to
    `document_characters` where it can be; together they are the file, character by character.
    The newest `future_share` of the dated posts is kept for evaluation. The same files
    give the same bytes in whatever order they are named. Raises ValueError where a file cannot be
    read, is not UTF-8 or holds a row that is no post, and where there is no text at all.
    """
    if not 0 <= future_share < 1:
        raise ValueError(f"the share of future documents is {future_share}; it must lie in [0, 1)")
    if document_characters < 1:
        raise ValueError(f"documents of {document_characters} characters cannot be; give 1 or more")
    found: dict[str, _Document] = {}
    posts: dict[str, _Post] = {}
    for path in sorted(map(Path, files)):
        if path.name.endswith(_JSON_LINES):
            posts.update((post.id, post) for post in _read_posts(path))
        else:
            found.update((one.document, one) for one in _cut(path, document_characters))
    found.update((one.document, one) for one in _threads(posts, future_share))
    if not found:
        names = ", ".join(map(str, files)) or "no file"
        raise ValueError(f"there is no text in {names}; bring files that hold some")
    return _write([found[key] for key in sorted(found)], Path(folder))


def _write(documents: list[_Document], folder: Path) -> Path:
    rows = [{name: getattr(one, name) for name in DOCUMENTS.names} for one in documents]
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    target = folder / digest.hexdigest()
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    temporary = Path(tempfile.mkdtemp(prefix=f"{BUILDING}{os.getpid()}-", dir=folder))
    try:
        pq.write_table(
            pa.Table.from_pylist(rows, DOCUMENTS),
            temporary / "documents.parquet",
            compression="zstd",
        )
        manifest = {"fingerprint": target.name, "kind": "text", "documents": len(rows)}
        (temporary / "manifest.json").write_text(json.dumps(manifest) + "\n", "utf-8")
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _read(path: Path) -> str:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}: row {row} is not UTF-8; convert the file to UTF-8") from None


def _cut(path: Path, most: int) -> Iterator[_Document]:
    """Cut a plain text after blank lines; a paragraph that is too long stays whole."""
    text = _read(path)
    if not text.strip():
        return
    starts = [0]
    end = 0
    for match in _PARAGRAPH.finditer(text):
        if match.end() - starts[-1] > most and end > starts[-1]:
            starts.append(end)
        end = match.end()
    if len(text) - starts[-1] > most and end > starts[-1]:
        starts.append(end)
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        piece = text[start:stop]
        key = f"file:{path.name}#{number:06d}"
        yield _Document(key, [key], [piece], detect_language(piece), None, "train", 1)


def _read_posts(path: Path) -> Iterator[_Post]:
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield _post(row, f"file:{path.name}#{number}")
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}: row {number} is no post ({error}); give JSON with a text in each row"
            ) from None


def _post(row: Mapping[str, Any], key: str) -> _Post:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ValueError("it has no text")
    text = row["text"].encode("utf-8", "ignore").decode()
    time = row.get("created_at")
    return _Post(
        id=str(row.get("id") or key),
        text=text,
        language=str(row.get("lang") or detect_language(text)),
        time=None if time is None else _microseconds(datetime.fromisoformat(time)),
        parent=row.get("reply_to"),
        thread=row.get("thread"),
    )


def _microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970; a moment without a time zone is in UTC."""
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)


def _threads(posts: Mapping[str, _Post], future_share: float) -> Iterator[_Document]:
    """Put posts together that answer each other, in reading order, and split them by time.

    As in `curate`, a document is future where every post of it is; a late post in any other
    document is left out, for it may be neither trained on nor evaluated.
    """
    members: defaultdict[str, list[_Post]] = defaultdict(list)
    for post in posts.values():
        members[post.thread or _root(post, posts)].append(post)
    times = [UNDATED if post.time is None else post.time for post in posts.values()]
    cut = cut_off(np.array(times, dtype=np.int64), future_share)
    for key, some in members.items():
        numbers = {post.id: number for number, post in enumerate(some)}
        placed = thread_order(
            list(numbers.values()),
            [-1 if post.parent is None else numbers.get(post.parent, -1) for post in some],
            [post.time for post in some],
        )
        ordered = [(some[number], depth) for number, depth in placed]
        late = [cut is not None and (post.time or UNDATED) >= cut for post, _ in ordered]
        future = all(late)
        kept = [
            (post, depth)
            for (post, depth), is_late in zip(ordered, late, strict=True)
            if post.text.strip() and (future or not is_late)
        ]
        if kept:
            first = kept[0][0]
            dated = [post.time for post, _ in kept if post.time is not None]
            yield _Document(
                document=key,
                posts=[post.id for post, _ in kept],
                texts=[post.text for post, _ in kept],
                language=first.language,
                time=max(dated, default=None),
                split="future" if future else "train",
                depth=max(depth for _, depth in kept),
            )


def _root(post: _Post, posts: Mapping[str, _Post]) -> str:
    """Return the post that a thread begins with, or the least id of a circle of replies."""
    path = [post.id]
    while (parent := posts[path[-1]].parent) is not None and parent in posts:
        if parent in path:
            return min(path[path.index(parent) :])
        path.append(parent)
    return path[-1]
