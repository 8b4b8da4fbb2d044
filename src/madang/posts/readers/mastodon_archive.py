"""The archive that Mastodon gives its users: a tar.gz, a zip, a folder, or its `outbox.json`.

Rows are the activities of the outbox, which also holds followers-only and direct posts: these
are never stored, and nothing of them is told but that they were there. Besides the outbox only
`actor.json` is opened, for the owner's name and what the profile says about AI.

The owner's `indexable: false` is about search by others on other servers; here the owner imports
the archive for search, so it is no refusal. `#noai` and `#nobot` in the profile are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import orjson

from madang.posts.post import Media, Post, Visibility, clean_text
from madang.posts.readers.containers import Container
from madang.posts.readers.html_text import html_to_text
from madang.posts.readers.json_items import Item, JsonItems
from madang.posts.readers.profiles import profile_signals
from madang.posts.readers.rows import MAX_TEXT_LENGTH
from madang.posts.readers.streams import Puller, UnreadableFile
from madang.posts.readers.values import read_id, read_time
from madang.posts.reading import Record, Skipped, Written
from madang.text import detect_language

NAME: Final = "mastodon-archive"

_OUTBOX: Final = re.compile(r"(?:[^/]+/)?outbox\.json")
_ACTOR: Final = re.compile(r"(?:[^/]+/)?actor\.json")
_MAX_ACTOR_BYTES: Final = 4 << 20

# The key of the activities, at the top of a bare file.
_ITEMS: Final = "orderedItems"
_PUBLIC: Final = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
_POST_TYPES: Final = frozenset({"Note", "Question", "Article", "Page"})
# What follows `/ap/users/`, on newer servers, is a number.
_NAME_IN_PATH: Final = re.compile(r"(?:/@|(?<!/ap)/users/)([^/]+)(?:/|\Z)")


def wants(name: str) -> bool:
    """Return whether a member may be opened."""
    return bool(_OUTBOX.fullmatch(name) or _ACTOR.fullmatch(name))


def sniff(container: Container) -> bool:
    """Return whether a container holds an outbox, or is one."""
    if any(_OUTBOX.fullmatch(name) for name in container.names):
        return True
    head = container.head.lstrip()
    if not head.startswith(b"{") or b'"' + _ITEMS.encode() + b'"' not in head:
        return False
    return JsonItems(iter([head]), key=_ITEMS).enter()


def read(
    container: Container, source: str | None, columns: Mapping[str, str] | None
) -> Iterator[Record]:
    """Yield one record for each activity."""
    outboxes = [name for name in container.names if _OUTBOX.fullmatch(name)]
    if len(outboxes) > 1:
        raise UnreadableFile(
            f"{container.path} holds {len(outboxes)} outboxes; import them one by one"
        )
    outbox = outboxes[0] if outboxes else ""
    actors = [
        name
        for name in container.names
        if _ACTOR.fullmatch(name) and name.rpartition("/")[0] == outbox.rpartition("/")[0]
    ]
    container.plan(outboxes)
    return _rows(container, outbox, actors[0] if actors else None)


def _rows(container: Container, outbox: str, actor_name: str | None) -> Iterator[Record]:
    actor: Mapping[str, Any] = {}
    if actor_name is not None:
        actor = _read_actor(container, actor_name)
        container.state.read = 0
    owner = _Owner(actor)
    file = f"{container.path}/{outbox}" if outbox else str(container.path)
    items = JsonItems(container.open(outbox), key=_ITEMS)
    for item in items:
        yield _record(item, file, owner)
    if not items.complete:
        container.state.note_early_end(f"{container.path.name}/{outbox}".rstrip("/"))


def _read_actor(container: Container, name: str) -> Mapping[str, Any]:
    data = Puller(container.open(name)).take(_MAX_ACTOR_BYTES)
    try:
        actor = orjson.loads(data)
    except orjson.JSONDecodeError:
        container.state.note_early_end(f"{container.path.name}/{name}", "is damaged")
        return {}
    return actor if isinstance(actor, dict) else {}


class _Owner:
    """Whose archive it is, as `actor.json` says it, else as the posts' own addresses do."""

    def __init__(self, actor: Mapping[str, Any]) -> None:
        self.name = clean_text(_string(actor, "name")) or None
        self.signals = profile_signals(html_to_text(_string(actor, "summary")))
        self.uri = _string(actor, "id")
        user = clean_text(_string(actor, "preferredUsername"))
        host = _host(self.uri)
        self._handle = f"{user}@{host}" if user and host else None

    def handle(self, post: Mapping[str, Any], activity: Mapping[str, Any]) -> str | None:
        """Return `user@host`, or the actor's URI where no address tells the user's name."""
        if self._handle is not None:
            return self._handle
        uri = _string(post, "attributedTo") or _string(activity, "actor")
        for address in (_string(post, "url"), uri):
            found = _NAME_IN_PATH.search(_path(address))
            if found and _host(address):
                return f"{found[1]}@{_host(address)}"
        return uri or None


def _record(item: Item, file: str, owner: _Owner) -> Record:
    row = item.number
    if item.problem is not None:
        return Skipped("malformed", file, row, f"the activity {item.problem}")
    activity = item.value
    if not isinstance(activity, dict):
        return Skipped("malformed", file, row, "the activity is no JSON object")
    kind = activity.get("type")
    if kind == "Announce":
        return Skipped("repost", file, row, "a boost of another's post")
    post = activity.get("object")
    if kind != "Create" or not isinstance(post, dict) or _string(post, "type") not in _POST_TYPES:
        return Skipped("not_a_post", file, row, "the activity creates no post")
    visibility = _visibility(post)
    if visibility == "private":
        return Skipped("private", file, row, "the post is for followers or for named people only")
    identifier = read_id(post.get("id"))
    if identifier is None or not identifier.startswith(("https://", "http://")):
        return Skipped("invalid_id", file, row, "the post's id is no address")
    try:
        created_at = read_time(post.get("published", activity.get("published")))
    except ValueError as error:
        return Skipped("invalid_time", file, row, f"published {error}")
    text = _text(post)
    if not text:
        return Skipped("no_text", file, row, "there is no text")
    if len(text) > MAX_TEXT_LENGTH:
        detail = f"the text is longer than {MAX_TEXT_LENGTH} characters"
        return Skipped("malformed", file, row, detail)
    written = Post(
        id=identifier,
        source="mastodon",
        text=text,
        author=owner.handle(post, activity),
        author_name=owner.name,
        created_at=created_at,
        edited_at=_edited_at(post),
        lang=detect_language(text, _declared_language(post)),
        reply_to=read_id(post.get("inReplyTo")),
        thread=read_id(post.get("conversation") or post.get("context")),
        quote_of=_quote(post),
        media=_media(post),
        tags=_tags(post),
        visibility=visibility,
        sensitive=post.get("sensitive") is True or bool(_string(post, "summary")),
        url=_web_address(post.get("url")),
        metrics=_metrics(post),
    )
    return Written(written, file, row, signals=owner.signals, own=True)


def _visibility(post: Mapping[str, Any]) -> Visibility | Literal["private"]:
    if not _PUBLIC.isdisjoint(_addresses(post.get("to"))):
        return "public"
    if not _PUBLIC.isdisjoint(_addresses(post.get("cc"))):
        return "unlisted"
    return "private"


def _addresses(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _text(post: Mapping[str, Any]) -> str:
    """Return title, content warning, content and the options of a poll, in this order."""
    parts = [_string(post, "name"), _string(post, "summary")]
    content = _string(post, "content") or next(iter(_content_map(post).values()), "")
    parts.append(html_to_text(content))
    for options in (post.get("oneOf"), post.get("anyOf")):
        for option in options if isinstance(options, list) else ():
            name = _string(option, "name") if isinstance(option, dict) else ""
            parts.append(f"- {name}" if name else "")
    return clean_text("\n".join(part for part in parts if part.strip()))


def _content_map(post: Mapping[str, Any]) -> dict[str, str]:
    contents = post.get("contentMap")
    if not isinstance(contents, dict):
        return {}
    return {tag: html for tag, html in contents.items() if isinstance(html, str)}


def _declared_language(post: Mapping[str, Any]) -> str | None:
    contents = _content_map(post)
    same = (tag for tag, html in contents.items() if html == post.get("content"))
    return next(same, None) or next(iter(contents), None)


def _edited_at(post: Mapping[str, Any]) -> Any:
    try:
        return read_time(post.get("updated"))
    except ValueError:
        return None


def _quote(post: Mapping[str, Any]) -> str | None:
    for name in ("quote", "quoteUri", "quoteUrl", "_misskey_quote"):
        if address := _web_address(post.get(name)):
            return address
    return None


def _media(post: Mapping[str, Any]) -> tuple[Media, ...]:
    attached = post.get("attachment")
    found = []
    for one in attached if isinstance(attached, list) else [attached]:
        if not isinstance(one, dict):
            continue
        kind = _string(one, "mediaType").partition("/")[0]
        alt = clean_text(_string(one, "name") or _string(one, "summary"))
        # Addresses inside the archive (`/media_attachments/…`) are none that can be opened.
        found.append(Media(kind or "file", _web_address(one.get("url")), alt or None))
    return tuple(found)


def _tags(post: Mapping[str, Any]) -> tuple[str, ...]:
    tags = post.get("tag")
    names = (
        clean_text(_string(one, "name")).lstrip("#")
        for one in (tags if isinstance(tags, list) else [tags])
        if isinstance(one, dict) and one.get("type") == "Hashtag"
    )
    return tuple(dict.fromkeys(name for name in names if name))


def _metrics(post: Mapping[str, Any]) -> dict[str, int] | None:
    counts = {}
    for name, field in (("likes", "likes"), ("reposts", "shares")):
        collection = post.get(field)
        total = collection.get("totalItems") if isinstance(collection, dict) else None
        if isinstance(total, int) and not isinstance(total, bool):
            counts[name] = total
    return counts or None


def _web_address(value: object) -> str | None:
    if isinstance(value, str) and value.startswith(("https://", "http://")):
        return read_id(value)
    return None


def _host(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return ""


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _string(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""
