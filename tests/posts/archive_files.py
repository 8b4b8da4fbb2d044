"""Archives as X and Mastodon make them, written into a folder, a zip or a tar for the tests."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import zstandard

from madang.posts.readers import open_reader
from madang.posts.reading import Record, Skipped, Written

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
HOST = "https://village.example"
ACTOR = f"{HOST}/users/haneul"


def tweet(number: int, text: str = "", **fields: Any) -> dict[str, Any]:
    """One entry of tweets.js."""
    return {
        "tweet": {
            "id_str": str(number),
            "id": str(number),
            "full_text": text or f"글 {number}",
            "created_at": "Sat Nov 09 12:14:18 +0000 2024",
            "lang": "ko",
            "entities": {"urls": [], "hashtags": []},
            "favorite_count": "3",
            "retweet_count": "1",
            **fields,
        }
    }


def note(text: str, at: str = "2024-11-09T12:14:18.000Z", **core: Any) -> dict[str, Any]:
    """One entry of note-tweet.js."""
    return {"noteTweet": {"createdAt": at, "core": {"text": text, "urls": [], **core}}}


def js(word: str, entries: object, indent: int | None = 2) -> bytes:
    """A file of an X archive."""
    text = json.dumps(entries, ensure_ascii=False, indent=indent)
    return f"window.YTD.{word}.part0 = {text}".encode()


def account(handle: str = "haneul", name: str = "하늘") -> bytes:
    return js(
        "account",
        [{"account": {"email": "e@x.test", "username": handle, "accountDisplayName": name}}],
    )


def x_files(tweets: list[Any], **more: bytes) -> dict[str, bytes]:
    """The files of an X archive; more of them by name without `.js`, `-` written as `_`."""
    files = {"data/account.js": account(), "data/tweets.js": js("tweets", tweets)}
    for name, data in more.items():
        files[f"data/{name.replace('_', '-')}.js"] = data
    return files


def status(number: int, content: str = "", **fields: Any) -> dict[str, Any]:
    """One Create of an outbox."""
    return {
        "id": f"{ACTOR}/statuses/{number}/activity",
        "type": "Create",
        "actor": ACTOR,
        "published": "2024-11-09T12:14:18Z",
        "object": {
            "id": f"{ACTOR}/statuses/{number}",
            "type": "Note",
            "published": "2024-11-09T12:14:18Z",
            "url": f"{HOST}/@haneul/{number}",
            "attributedTo": ACTOR,
            "to": [PUBLIC],
            "cc": [f"{ACTOR}/followers"],
            "sensitive": False,
            "content": content or f"<p>글 {number}</p>",
            "attachment": [],
            "tag": [],
            **fields,
        },
    }


def outbox(activities: list[Any], indent: int | None = None) -> bytes:
    head = {"@context": ["https://www.w3.org/ns/activitystreams"], "id": "outbox.json"}
    head |= {"type": "OrderedCollection", "totalItems": len(activities)}
    return json.dumps(
        head | {"orderedItems": activities}, ensure_ascii=False, indent=indent
    ).encode()


def actor(**fields: Any) -> bytes:
    person = {"id": ACTOR, "type": "Person", "preferredUsername": "haneul", "name": "하늘"}
    return json.dumps(person | fields, ensure_ascii=False).encode()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class _Unseekable(io.RawIOBase):
    """Makes zipfile write as to a socket: sizes behind each member, not before."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.written += data
        return len(data)


def streamed_zip_of(files: Mapping[str, bytes]) -> bytes:
    """A zip as servers stream it: sizes stand behind each member."""
    sink = _Unseekable()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            archive.writestr(name, data)
    return bytes(sink.written)


def tar_of(files: Mapping[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def folder_of(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return path


def zst_of(data: bytes, frame: int = 1024) -> bytes:
    """Zstandard of many frames: a single one of so little data gives all of it or nothing."""
    return b"".join(zstandard.compress(data[at : at + frame]) for at in range(0, len(data), frame))


PACKED = {"plain": bytes, "gz": gzip.compress, "zst": zst_of}


def read(path: Path, **options: Any) -> list[Record]:
    return list(open_reader(path, **options))


def read_bytes(path: Path, data: bytes, **options: Any) -> list[Record]:
    path.write_bytes(data)
    return read(path, **options)


def posts(records: Iterable[Record]) -> list[Any]:
    return [record.post for record in records if isinstance(record, Written)]


def reasons(records: Iterable[Record]) -> Counter[str]:
    return Counter(record.reason for record in records if isinstance(record, Skipped))
