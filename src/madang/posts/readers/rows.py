"""A row of a table or of JSON lines as a record: fields by name, columns by a map."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from madang.posts.consent import PURPOSES
from madang.posts.post import Media, Post, clean_text
from madang.posts.readers.streams import UnreadableFile
from madang.posts.readers.values import (
    has_prefix,
    is_source_name,
    read_bool,
    read_id,
    read_time,
    source_name,
)
from madang.posts.reading import Record, Removed, Skipped, SkipReason, Written
from madang.text import detect_language

FIELDS: Final = (
    "id",
    "source",
    "author",
    "author_name",
    "created_at",
    "edited_at",
    "text",
    "title",
    "lang",
    "reply_to",
    "thread",
    "quote_of",
    "tags",
    "visibility",
    "sensitive",
    "url",
    "media",
    "metrics",
    "consent",
    "deleted",
)
MAX_TEXT_LENGTH: Final = 100_000
MAX_NAME_LENGTH: Final = 500
MAX_LIST: Final = 100

Row = Mapping[str, Any]
RecordMaker = Callable[[Row, int], Record]


class _Bad(Exception):  # noqa: N818
    """A row that is not stored, and why."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: SkipReason = reason
        self.detail = detail


def check_source(source: str | None) -> str | None:
    """Return the name of a source as it stands in ids. Raises UnreadableFile on one that cannot."""
    if source is None:
        return None
    name = source.strip().lower()
    if not is_source_name(name):
        raise UnreadableFile(
            f"the source {source!r} must begin with a letter and hold only letters, digits and "
            ". + - (for example: reviews)"
        )
    return name


def check_columns(
    file: str, columns: Mapping[str, str] | None, present: Collection[str]
) -> dict[str, str]:
    """Return the column of each field: the mapped one, else the one of the field's own name.

    `present` are the columns of the file, or of its first rows where any row may have its own.
    Raises UnreadableFile where a field or a column does not exist, or where no column holds text.
    """
    columns = columns or {}
    for field, column in columns.items():
        if field not in FIELDS:
            raise UnreadableFile(
                f"{field!r} is not a field of posts; the fields are {', '.join(FIELDS)}"
            )
        if column not in present:
            raise UnreadableFile(
                f"{file} has no column {column!r} for {field}; its columns are {_listed(present)}"
            )
    names = {field: columns.get(field, field) for field in FIELDS}
    if names["text"] not in present and names["title"] not in present:
        raise UnreadableFile(
            f"{file} has no column for the text; name it with --map text=COLUMN, its columns are "
            f"{_listed(present)}"
        )
    return names


def _listed(names: Collection[str]) -> str:
    shown = [repr(name[:40]) for name in list(names)[:30]]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


def record_maker(
    file: str,
    names: Mapping[str, str],
    *,
    has_ids: bool,
    source: str | None,
    stem: str,
) -> RecordMaker:
    """Return the function that makes the record of a row and its number.

    An id that does not say where it comes from gets the source before it: `source`, else the
    row's own, else `stem`. Where the file has no ids (`has_ids` false), a row's id is made of its
    author, time and text, so that importing again finds it again.
    """
    c_id, c_source, c_author = names["id"], names["source"], names["author"]
    c_author_name, c_created, c_edited = (
        names["author_name"],
        names["created_at"],
        names["edited_at"],
    )
    c_text, c_title, c_lang = names["text"], names["title"], names["lang"]
    c_reply, c_thread, c_quote = names["reply_to"], names["thread"], names["quote_of"]
    c_tags, c_visibility, c_sensitive = names["tags"], names["visibility"], names["sensitive"]
    c_url, c_media, c_metrics = names["url"], names["media"], names["metrics"]
    c_consent, c_deleted = names["consent"], names["deleted"]
    stem = source_name(stem)

    def make(row: Row, number: int) -> Record:
        get = row.get
        try:
            visibility = _visibility(get(c_visibility))
            row_source = get(c_source)
            if not isinstance(row_source, str) or not (row_source := _source_text(row_source)):
                row_source = source or stem
            prefix = source or source_name(row_source)

            raw_id = get(c_id)
            identifier: str | None = None
            if raw_id is not None or has_ids:
                identifier = _full_id(raw_id, prefix)
                if identifier is None:
                    raise _Bad("invalid_id", _id_problem(raw_id))

            deleted = get(c_deleted)
            if deleted is not None and deleted is not False:
                gone = read_bool(deleted)
                if gone is None:
                    raise _Bad("malformed", "deleted is neither true nor false")
                if gone:
                    if identifier is None:
                        raise _Bad("invalid_id", "a deletion needs an id")
                    return Removed(identifier, file, number)

            try:
                created_at = read_time(get(c_created))
            except ValueError as error:
                raise _Bad("invalid_time", f"{c_created} {error}") from None

            text = _text(get(c_text), get(c_title), c_text)
            author = _name(get(c_author), c_author)
            if identifier is None:
                seen = f"{author}\n{created_at}\n{text}".encode()
                identifier = f"{prefix}:row-{hashlib.sha256(seen).hexdigest()[:16]}"

            edited = get(c_edited)
            if edited is not None:
                edited = _time_or_none(edited)
            declared = get(c_lang)
            reply_to, thread, quote_of = get(c_reply), get(c_thread), get(c_quote)
            name, url, tags = get(c_author_name), get(c_url), get(c_tags)
            media, metrics, sensitive = get(c_media), get(c_metrics), get(c_sensitive)
            consent = get(c_consent)
            post = Post(
                id=identifier,
                source=row_source,
                text=text,
                author=author,
                author_name=None if name is None else _name(name, c_author_name),
                created_at=created_at,
                edited_at=edited,
                lang=detect_language(text, declared if isinstance(declared, str) else None),
                reply_to=None if reply_to is None else _full_id(reply_to, prefix),
                thread=None if thread is None else _full_id(thread, prefix),
                quote_of=None if quote_of is None else _full_id(quote_of, prefix),
                media=() if media is None else _media(media),
                tags=() if tags is None else _tags(tags),
                visibility=visibility,
                sensitive=sensitive is not None and read_bool(sensitive) is not False,
                url=None if url is None else _url(url),
                metrics=None if metrics is None else _metrics(metrics),
            )
            if consent is None:
                return Written(post, file, number)
            return Written(post, file, number, signals=_signals(consent))
        except _Bad as bad:
            return Skipped(bad.reason, file, number, bad.detail)

    return make


@lru_cache(maxsize=1024)
def _source_text(name: str) -> str:
    """Return a source's name on one line, and no longer than a name."""
    return " ".join(clean_text(name).split())[:MAX_NAME_LENGTH]


def _visibility(value: object) -> Any:
    if value is None or value == "public":
        return "public"
    word = value.strip().lower() if isinstance(value, str) else "?"
    if word in ("", "public"):
        return "public"
    if word == "unlisted":
        return "unlisted"
    raise _Bad("private", "the row is neither public nor unlisted")


def _full_id(value: object, prefix: str) -> str | None:
    identifier = read_id(value)
    if identifier is None or has_prefix(identifier):
        return identifier
    return f"{prefix}:{identifier}"


def _id_problem(value: object) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        return "the id is missing"
    if isinstance(value, float) or (isinstance(value, str) and value.strip()[:1].isdigit()):
        return "the id is a number that a spreadsheet or a float has damaged"
    return "the id is no text or number that can be an id"


def _text(value: object, title: object, column: str) -> str:
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise _Bad("malformed", f"{column} is not a text")
    text = clean_text(value)
    if isinstance(title, str):
        title = " ".join(clean_text(title).split())
        text = f"{title}\n{text}" if title and text else title or text
    if not text:
        raise _Bad("no_text", "there is no text")
    if len(text) > MAX_TEXT_LENGTH:
        raise _Bad("malformed", f"the text is longer than {MAX_TEXT_LENGTH} characters")
    return text


def _name(value: object, column: str) -> str | None:
    if isinstance(value, str):
        name = " ".join(clean_text(value).split()) if not value.isalnum() else clean_text(value)
        if len(name) > MAX_NAME_LENGTH:
            raise _Bad("malformed", f"{column} is longer than {MAX_NAME_LENGTH} characters")
        return name or None
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return read_id(value)
    raise _Bad("malformed", f"{column} is neither a text nor a number")


def _time_or_none(value: object) -> Any:
    try:
        return read_time(value)
    except ValueError:
        return None


def _decoded(value: object) -> Any:
    """Return what a cell of a table that holds JSON stands for; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _tags(value: object) -> tuple[str, ...]:
    value = _decoded(value)
    if isinstance(value, str):
        value = value.replace(",", " ").replace(";", " ").split()
    if not isinstance(value, list):
        return ()
    names = (clean_text(one).lstrip("#") for one in value[:MAX_LIST] if isinstance(one, str))
    return tuple(dict.fromkeys(name for name in names if name and len(name) <= MAX_NAME_LENGTH))


def _media(value: object) -> tuple[Media, ...]:
    value = _decoded(value)
    found = []
    for one in value[:MAX_LIST] if isinstance(value, list) else ():
        if not isinstance(one, dict):
            continue
        kind, url, alt = one.get("kind"), _url(one.get("url")), one.get("alt")
        kind = clean_text(kind)[:MAX_NAME_LENGTH] if isinstance(kind, str) else ""
        alt = clean_text(alt)[:MAX_TEXT_LENGTH] if isinstance(alt, str) else None
        if url or alt:
            found.append(Media(kind or "file", url, alt or None))
    return tuple(found)


def _metrics(value: object) -> dict[str, int] | None:
    value = _decoded(value)
    if not isinstance(value, dict):
        return None
    return {
        clean_text(str(name))[:MAX_NAME_LENGTH]: number
        for name, number in list(value.items())[:MAX_LIST]
        if isinstance(number, int) and not isinstance(number, bool) and abs(number) < 2**63
    } or None


def _url(value: object) -> str | None:
    if isinstance(value, str):
        url = clean_text(value)
        if url.startswith(("https://", "http://")) and len(url) <= 4000 and " " not in url:
            return url
    return None


def _signals(value: object) -> dict[str, bool]:
    """Read what a row says of each purpose. A word that is neither yes nor no counts as no."""
    value = _decoded(value)
    if isinstance(value, str) and not value.strip():
        return {}
    if not isinstance(value, dict):
        raise _Bad("malformed", "consent is not an object of purposes and true or false")
    return {purpose: read_bool(value[purpose]) is True for purpose in PURPOSES if purpose in value}
