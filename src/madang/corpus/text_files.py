"""Documents from files, without a log: general text, benchmarks, posts for one run.

What is in them is taken as it is. Consent, duplicates and personal data are the business of
`curate`, which posts of a community go through.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from madang.corpus.corpus import Corpus, tokenize
from madang.text import detect_language
from madang.text.tokenizer import Tokenizer

DOCUMENT_CHARACTERS: Final = 8192
_JSON_LINES: Final = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n+")

DOCUMENTS_SCHEMA: Final = pa.schema(
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


@dataclass(frozen=True, slots=True)
class _Post:
    id: str
    text: str
    language: str
    time: datetime | None
    parent: str | None
    thread: str | None


@dataclass(frozen=True, slots=True)
class _Document:
    document: str
    posts: list[str]
    texts: list[str]
    language: str
    time: datetime | None
    depth: int
    split: str = "train"


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
    `future_share` of the dated documents, the newest, are kept for evaluation. The same files
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
    found.update((one.document, one) for one in _threads(posts))
    if not found:
        names = ", ".join(map(str, files)) or "no file"
        raise ValueError(f"there is no text in {names}; bring files that hold some")
    documents = _with_future([found[key] for key in sorted(found)], future_share)
    return _write(documents, Path(folder))


def _write(documents: list[_Document], folder: Path) -> Path:
    rows = [{name: getattr(one, name) for name in DOCUMENTS_SCHEMA.names} for one in documents]
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=datetime.isoformat).encode() + b"\n")
    target = folder / digest.hexdigest()
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:12]}-", dir=folder))
    try:
        pq.write_table(
            pa.Table.from_pylist(rows, DOCUMENTS_SCHEMA),
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
        if piece.strip() or number:
            key = f"file:{path.name}#{number:06d}"
            yield _Document(key, [key], [piece], detect_language(piece), None, 1)


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
    moment = None if time is None else datetime.fromisoformat(time)
    if moment is not None:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return _Post(
        id=str(row.get("id") or key),
        text=text,
        language=str(row.get("lang") or detect_language(text)),
        time=moment,
        parent=row.get("reply_to"),
        thread=row.get("thread"),
    )


def _threads(posts: Mapping[str, _Post]) -> Iterator[_Document]:
    """Put posts together that answer each other, the oldest first."""
    threads: dict[str, list[_Post]] = {}
    depths: dict[str, int] = {}
    for post in posts.values():
        root, depth, seen = post, 1, {post.id}
        while root.parent is not None and root.parent in posts and root.parent not in seen:
            root = posts[root.parent]
            seen.add(root.id)
            depth += 1
        # Posts that answer each other in a circle have no first one; any name of theirs will do.
        key = root.thread or (min(seen) if root.parent in seen else root.id)
        threads.setdefault(key, []).append(post)
        depths[key] = max(depths.get(key, 0), depth)
    for key, members in threads.items():
        members.sort(key=lambda post: (post.time or datetime.min.replace(tzinfo=UTC), post.id))
        kept = [post for post in members if post.text.strip()]
        if kept:
            times = [post.time for post in kept if post.time is not None]
            yield _Document(
                document=key,
                posts=[post.id for post in kept],
                texts=[post.text for post in kept],
                language=kept[0].language,
                time=max(times, default=None),
                depth=depths[key],
            )


def _with_future(documents: list[_Document], share: float) -> list[_Document]:
    dated = sorted((one.time, one.document) for one in documents if one.time is not None)
    count = int(len(dated) * share)
    future = {key for _, key in dated[len(dated) - count :]}
    return [replace(one, split="future") if one.document in future else one for one in documents]
