"""A post: one message of a community, the same shape whatever it came from."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

import orjson

Visibility = Literal["public", "unlisted"]


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, sound or film of a post; `alt` is its description in words."""

    kind: str
    url: str | None = None
    alt: str | None = None
    digest: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """One post.

    `id` is a URI that is unique in the world (`x:123`, an ActivityPub object URI, `hn:1`).
    `text` is plain, in Unicode NFC, with links expanded. `created_at` and `edited_at` are aware
    and in UTC, or none. `lang` is a BCP 47 tag or `und`. `thread` is the key of the conversation
    as its source states it, or none where the source does not say.
    """

    id: str
    source: str
    text: str
    author: str | None = None
    author_name: str | None = None
    created_at: datetime | None = None
    edited_at: datetime | None = None
    lang: str = "und"
    reply_to: str | None = None
    thread: str | None = None
    quote_of: str | None = None
    media: tuple[Media, ...] = ()
    tags: tuple[str, ...] = ()
    visibility: Visibility = "public"
    sensitive: bool = False
    url: str | None = None
    metrics: Mapping[str, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the post as JSON types; empty fields are left out."""
        data: dict[str, Any] = {}
        for name in _FIELDS:
            value = getattr(self, name)
            if value is None or value == () or value is False:
                continue
            if isinstance(value, datetime):
                value = format_time(value)
            elif name == "media":
                value = [_media_dict(one) for one in value]
            elif name == "tags":
                value = list(value)
            data[name] = value
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Post:
        """Read what `to_dict` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        known = {name: data[name] for name in _FIELDS if name in data}
        for name in ("created_at", "edited_at"):
            if name in known:
                known[name] = parse_stored_time(known[name])
        if "media" in known:
            known["media"] = tuple(Media(**one) for one in known["media"])
        if "tags" in known:
            known["tags"] = tuple(known["tags"])
        return cls(**known)

    def canonical(self) -> bytes:
        """Return the JSON that versions are compared by and digests are made of.

        Keys are sorted and metrics left out: likes change by the minute, the post does not.
        """
        data = self.to_dict()
        data.pop("metrics", None)
        return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)

    def digest(self, salt: bytes) -> str:
        """Return SHA-256 over the salt and the canonical JSON, in hexadecimal."""
        return hashlib.sha256(salt + self.canonical()).hexdigest()

    def normalized(self) -> Post:
        """Return the post with its text in NFC and without characters that cannot be stored."""
        text = clean_text(self.text)
        return self if text is self.text else replace(self, text=text)


_FIELDS: Final = tuple(field.name for field in fields(Post))


def clean_text(text: str) -> str:
    """Return text in NFC, without NUL and lone surrogates and with only line feeds."""
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode("utf-8")
        text = unicodedata.normalize("NFC", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x00" in text:
        text = text.replace("\x00", "")
    return text.strip()


def format_time(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_stored_time(text: str) -> datetime:
    """Read what `format_time` wrote."""
    return datetime.fromisoformat(text)


def _media_dict(media: Media) -> dict[str, str]:
    pairs = ((field.name, getattr(media, field.name)) for field in fields(Media))
    return {name: cast(str, value) for name, value in pairs if value is not None}
