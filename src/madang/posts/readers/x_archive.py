"""The archive that X (Twitter) gives its users: a zip, a folder, or one `tweets.js` of it.

Rows are the entries of the files of posts, deleted posts and community posts. Long posts stand
cut in these and whole in `note-tweet.js`; the whole text replaces the cut one, and is no row of
its own. Nothing else in the archive is opened: not messages, e-mail, addresses or likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from madang.posts.post import Media, Post, clean_text
from madang.posts.readers.containers import Container
from madang.posts.readers.json_items import Item, JsonItems
from madang.posts.readers.profiles import profile_signals
from madang.posts.readers.rows import MAX_TEXT_LENGTH
from madang.posts.readers.streams import UnreadableFile
from madang.posts.readers.values import read_id, read_time
from madang.posts.reading import Record, Removed, Skipped, Written
from madang.text import detect_language

NAME: Final = "x-archive"

_PART: Final = r"(?:-part\d+)?\.js"
_FOLDERS: Final = r"(?:[^/]+/)?(?:data/)?"
_POSTS: Final = re.compile(_FOLDERS + r"(?:tweets?|community-tweet)" + _PART)
_DELETED: Final = re.compile(_FOLDERS + r"deleted-tweets?" + _PART)
_NOTES: Final = re.compile(_FOLDERS + r"note-tweet" + _PART)
_ABOUT: Final = re.compile(_FOLDERS + r"(account|profile|protected-history)\.js")

# `window.YTD.tweets.part0 = [`; the word tells what a bare file holds.
_HEADER: Final = re.compile(rb"\s*window\.YTD\.(\w+)\.part\d+\s*=\s*\[")
_BARE_POSTS: Final = frozenset({b"tweets", b"tweet", b"community_tweet"})
_BARE_DELETED: Final = frozenset({b"deleted_tweets", b"deleted_tweet"})

_REPOST: Final = re.compile(r"RT @\w+: ")
_MENTIONS: Final = re.compile(r"(?:@\w+ )+")
_CUT: Final = re.compile(r"…(?:\s+https://t\.co/[A-Za-z0-9]+)*\s*\Z")
_SHORT_LINK: Final = re.compile(r"https?://t\.co/[A-Za-z0-9]+")
_STATUS: Final = re.compile(r"https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/(\w+)/status/(\d+)")
_HANDLE: Final = re.compile(r"\w{1,50}")
_ENTITY: Final = re.compile(r"&(lt|gt|amp);")
_ENTITIES: Final = {"lt": "<", "gt": ">", "amp": "&"}
_KINDS: Final = {"photo": "image", "video": "video", "animated_gif": "gif"}
# X's own tags that are no language: undetermined, only links, only mentions, only hashtags, …
_OLD_TAGS: Final = {"in": "id", "iw": "he", "ji": "yi"}


def wants(name: str) -> bool:
    """Return whether a member may be opened."""
    return any(one.fullmatch(name) for one in (_POSTS, _DELETED, _NOTES, _ABOUT))


def sniff(container: Container) -> bool:
    """Return whether a container holds posts of an X archive, or is one of its files."""
    if _HEADER.match(container.head):
        return True
    return any(_POSTS.fullmatch(name) or _DELETED.fullmatch(name) for name in container.names)


def read(
    container: Container, source: str | None, columns: Mapping[str, str] | None
) -> Iterator[Record]:
    """Yield one record for each post, deleted post and community post.

    An account that is protected when the archive is made has no public posts: all are private.
    """
    if not container.names:
        return _read_bare(container)
    names = sorted(container.names, key=_natural)
    _check_one_archive(container, names)
    posts = [name for name in names if _POSTS.fullmatch(name)]
    deleted = [name for name in names if _DELETED.fullmatch(name)]
    notes = [name for name in names if _NOTES.fullmatch(name)]
    about = [name for name in names if _ABOUT.fullmatch(name)]
    container.plan(posts + deleted)
    return _read_archive(container, posts, deleted, notes, about)


def _read_bare(container: Container) -> Iterator[Record]:
    header = _HEADER.match(container.head)
    kind = header[1] if header else b""
    if kind not in _BARE_POSTS | _BARE_DELETED:
        raise UnreadableFile(
            f"{container.path} is a file of an X archive that holds no posts; give the archive "
            "or its tweets.js"
        )
    return _read_bare_rows(container, deleted=kind in _BARE_DELETED)


def _read_bare_rows(container: Container, *, deleted: bool) -> Iterator[Record]:
    owner = _Owner(handle=_handle_from_media(container, [""]))
    container.state.read = 0
    yield from _rows(container, "", owner, _Notes(), deleted=deleted)


def _read_archive(
    container: Container,
    posts: list[str],
    deleted: list[str],
    notes: list[str],
    about: list[str],
) -> Iterator[Record]:
    owner = _read_owner(container, about)
    if owner.handle is None:
        owner.handle = _handle_from_media(container, posts)
    long_texts = _read_notes(container, notes)
    container.state.read = 0
    for name in posts:
        yield from _rows(container, name, owner, long_texts, deleted=False)
    for name in deleted:
        yield from _rows(container, name, owner, long_texts, deleted=True)


@dataclass(slots=True)
class _Owner:
    handle: str | None = None
    name: str | None = None
    protected: bool = False
    signals: Mapping[str, bool] = field(default_factory=dict)


class _Notes:
    """Long texts by the second in which they were posted."""

    def __init__(self) -> None:
        self._by_second: dict[datetime, list[tuple[str, str, Mapping[str, Any]]]] = {}

    def add(self, moment: datetime, text: str, note: Mapping[str, Any]) -> None:
        same_second = self._by_second.setdefault(moment.replace(microsecond=0), [])
        same_second.append((_without_links(text), text, note))

    def whole(self, moment: datetime, cut: str) -> tuple[str, Mapping[str, Any]] | None:
        """Return the text that `cut` is the beginning of, and its note.

        `cut` is decoded and ends with an ellipsis, behind which links may stand. The same link is
        shortened to another address in the note, and a reply's mentions are left out of it.
        """
        start = _CUT.sub("", cut)
        if start == cut:
            return None
        for mentions in ("", found[0] if (found := _MENTIONS.match(start)) else ""):
            wanted = _without_links(start[len(mentions) :])
            for beginning, text, note in self._by_second.get(moment, ()):
                if wanted and beginning.startswith(wanted):
                    return mentions + text, note
        return None


def _without_links(text: str) -> str:
    return _SHORT_LINK.sub("\x00", text)


def _rows(
    container: Container, name: str, owner: _Owner, notes: _Notes, *, deleted: bool
) -> Iterator[Record]:
    file = f"{container.path}/{name}" if name else str(container.path)
    items = JsonItems(container.open(name))
    for item in items:
        yield _record(item, file, owner, notes, deleted=deleted)
    if not items.complete:
        container.state.note_early_end(f"{container.path.name}/{name}".rstrip("/"))


def _record(item: Item, file: str, owner: _Owner, notes: _Notes, *, deleted: bool) -> Record:
    row = item.number
    if item.problem is not None:
        return Skipped("malformed", file, row, f"the entry {item.problem}")
    value = item.value
    tweet = value.get("tweet", value) if isinstance(value, dict) else None
    if not isinstance(tweet, dict):
        return Skipped("malformed", file, row, "the entry holds no post")
    if owner.protected and not deleted:
        return Skipped("private", file, row, "the account is protected")
    text = _string(tweet, "full_text") or _string(tweet, "text")
    if _REPOST.match(text) or "retweeted_status" in tweet:
        return Skipped("repost", file, row, "a repost of another's post")
    identifier = read_id(tweet.get("id_str", tweet.get("id")))
    if identifier is None or not (identifier.isascii() and identifier.isdigit()):
        return Skipped("invalid_id", file, row, "the entry has no whole number as id_str")
    if deleted:
        return Removed(f"x:{identifier}", file, row)
    try:
        created_at = read_time(tweet.get("created_at"))
    except ValueError as error:
        return Skipped("invalid_time", file, row, f"created_at {error}")
    post = _post(tweet, identifier, created_at, _decode(text), owner, notes)
    if not post.text:
        return Skipped("no_text", file, row, "there is no text")
    if len(post.text) > MAX_TEXT_LENGTH:
        detail = f"the text is longer than {MAX_TEXT_LENGTH} characters"
        return Skipped("malformed", file, row, detail)
    return Written(post, file, row, signals=owner.signals, own=True)


def _post(
    tweet: Mapping[str, Any],
    identifier: str,
    created_at: datetime | None,
    text: str,
    owner: _Owner,
    notes: _Notes,
) -> Post:
    entities = _mapping(tweet, "entities")
    attached = _list(_mapping(tweet, "extended_entities"), "media") or _list(entities, "media")
    links = {_string(one, "url"): _string(one, "expanded_url") for one in _list(entities, "urls")}
    note = notes.whole(created_at, text) if created_at else None
    if note is not None:
        text = note[0]
        for one in _list(note[1], "urls"):
            links[_string(one, "shortUrl")] = _string(one, "expandedUrl")
    for one in attached:
        links[_string(one, "url")] = ""
    text = clean_text(_SHORT_LINK.sub(lambda found: links.get(found[0], found[0]), text))

    quotes = (_STATUS.match(address) for address in links.values())
    quoted = next((found[2] for found in quotes if found and found[2] != identifier), None)
    reply_to = read_id(tweet.get("in_reply_to_status_id_str", tweet.get("in_reply_to_status_id")))
    tags = (clean_text(_string(one, "text")) for one in _list(entities, "hashtags"))
    return Post(
        id=f"x:{identifier}",
        source="x",
        text=text,
        author=owner.handle,
        author_name=owner.name,
        created_at=created_at,
        lang=detect_language(text, _language(_string(tweet, "lang"))),
        reply_to=f"x:{reply_to}" if reply_to else None,
        quote_of=f"x:{quoted}" if quoted else None,
        media=tuple(_media(one) for one in attached),
        tags=tuple(dict.fromkeys(tag for tag in tags if tag)),
        sensitive=tweet.get("possibly_sensitive") is True,
        url=f"https://x.com/{owner.handle or 'i'}/status/{identifier}",
        metrics=_metrics(tweet),
    )


def _decode(text: str) -> str:
    """Decode the three characters that X encodes, once: `&amp;lt;` was typed as `&lt;`."""
    return _ENTITY.sub(lambda found: _ENTITIES[found[1]], text) if "&" in text else text


def _language(tag: str) -> str | None:
    if len(tag) > 2 or not tag:
        return None
    return _OLD_TAGS.get(tag, tag)


def _media(one: Mapping[str, Any]) -> Media:
    kind = _KINDS.get(_string(one, "type"), "file")
    url = _string(one, "media_url_https") or _string(one, "media_url")
    films = [
        (_number(variant, "bitrate") or 0, _string(variant, "url"))
        for variant in _list(_mapping(one, "video_info"), "variants")
        if _string(variant, "content_type") == "video/mp4"
    ]
    if films:
        url = max(films)[1]
    alt = clean_text(_string(one, "ext_alt_text") or _string(one, "alt_text"))
    return Media(kind, url or None, alt or None)


def _metrics(tweet: Mapping[str, Any]) -> dict[str, int] | None:
    counts = {
        "likes": _number(tweet, "favorite_count"),
        "reposts": _number(tweet, "retweet_count"),
    }
    return {name: count for name, count in counts.items() if count is not None} or None


def _read_owner(container: Container, about: Iterable[str]) -> _Owner:
    owner = _Owner()
    last_change = ""
    for name in about:
        for item in _context(container, name):
            if "account" in item:
                account = _mapping(item, "account")
                # The file also holds the e-mail address; only these two are looked at.
                handle = clean_text(_string(account, "username"))
                owner.handle = handle if _HANDLE.fullmatch(handle) else None
                owner.name = clean_text(_string(account, "accountDisplayName")) or None
            elif "profile" in item:
                bio = _string(_mapping(_mapping(item, "profile"), "description"), "bio")
                owner.signals = profile_signals(bio)
            elif "protectedHistory" in item:
                change = _mapping(item, "protectedHistory")
                at = _string(change, "protectedAt")
                if at >= last_change:
                    last_change = at
                    owner.protected = _string(change, "action").lower() == "protect"
    return owner


def _context(container: Container, name: str) -> Iterator[Mapping[str, Any]]:
    for item in JsonItems(container.open(name)):
        if isinstance(item.value, dict):
            yield item.value


def _handle_from_media(container: Container, names: Iterable[str]) -> str | None:
    """Return the owner's handle where `account.js` is missing.

    The address of a post's own picture holds it: `https://twitter.com/HANDLE/status/ID/photo/1`.
    """
    for name in names:
        for value in _context(container, name):
            tweet = value.get("tweet", value)
            entities = _mapping(tweet, "entities") if isinstance(tweet, dict) else {}
            for one in _list(entities, "media"):
                found = _STATUS.match(_string(one, "expanded_url"))
                if found and found[2] == tweet.get("id_str"):
                    return found[1]
    return None


def _read_notes(container: Container, names: Iterable[str]) -> _Notes:
    notes = _Notes()
    for name in names:
        items = JsonItems(container.open(name))
        for item in items:
            note = _mapping(item.value, "noteTweet") if isinstance(item.value, dict) else {}
            core = _mapping(note, "core")
            try:
                moment = read_time(note.get("createdAt"))
            except ValueError:
                continue
            text = _string(core, "text")
            if moment is not None and text:
                notes.add(moment, text, core)
        if not items.complete:
            container.state.note_early_end(f"{container.path.name}/{name}")
    return notes


def _check_one_archive(container: Container, names: Iterable[str]) -> None:
    folders = {name.rpartition("/")[0] for name in names}
    if len(folders) > 1:
        raise UnreadableFile(
            f"{container.path} holds more than one X archive ({', '.join(sorted(folders))}); "
            "import them one by one"
        )


def _natural(name: str) -> list[str | int]:
    """Sort parts by number, and the file without a number before them."""
    parts = re.split(r"(\d+)", name.removesuffix(".js"))
    return [int(part) if part.isdigit() else part for part in parts]


def _string(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _list(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = data.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(data: Mapping[str, Any], name: str) -> int | None:
    """Read a count; X writes its numbers as strings."""
    value = data.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 18:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
