"""Posts over HTTP: read one with its thread, search, write, edit, erase."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from madang.posts import Media, Outcome, Post, Stored
from madang.posts.post import clean_text, format_time
from madang.search import Filters, Hit, Order
from madang.server.chat_request import Text
from madang.server.errors import ApiError
from madang.server.schemas import ERRORS, Changed, PostWithThread, SearchResponse
from madang.server.service import Service, require_admin, service_of
from madang.text import detect_language

router = APIRouter(tags=["posts"])
_key = HTTPBearer(
    scheme_name="administrator", description="The key in `admin-key` of the home.", auto_error=False
)
admin = APIRouter(tags=["administration"], dependencies=[Depends(_key), Depends(require_admin)])

THREAD_POSTS: Final = 20
_MOST_THREAD_POSTS: Final = 1000


def _printable(text: str) -> str:
    if any(not character.isprintable() for character in text) or text != text.strip():
        raise ValueError("control characters and blanks around it are not allowed")
    return text


def _said(text: str) -> str:
    text = clean_text(text)
    if not text:
        raise ValueError("a post needs text")
    return text


Uri = Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]


class MediaIn(BaseModel):
    """A picture, sound or film of a post."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Name
    url: Uri | None = None
    alt: Text | None = Field(None, max_length=10_000)
    digest: Name | None = None


class PostIn(BaseModel):
    """A post to write, or to put in the place of the one with the same id.

    Without an id it is a new post that was written here and now. Without a language, the text
    tells it.
    """

    model_config = ConfigDict(extra="forbid")

    id: Uri | None = None
    source: Name = "local"
    text: Annotated[str, Field(max_length=100_000), AfterValidator(_said)]
    author: Name | None = None
    author_name: Name | None = None
    created_at: AwareDatetime | None = None
    edited_at: AwareDatetime | None = None
    lang: str | None = Field(None, max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")
    reply_to: Uri | None = None
    thread: Uri | None = None
    quote_of: Uri | None = None
    media: list[MediaIn] = Field([], max_length=32)
    tags: list[Name] = Field([], max_length=100)
    visibility: Literal["public", "unlisted"] = "public"
    sensitive: bool = False
    url: Uri | None = None
    metrics: dict[Name, Annotated[int, Field(ge=0)]] | None = Field(None, max_length=32)

    def post(self) -> Post:
        """Return the post that this describes."""
        given = self.model_dump(exclude={"id", "media", "tags", "lang", "created_at", "edited_at"})
        made_now = datetime.now(UTC) if self.id is None else None
        return Post(
            id=self.id or f"local:{uuid.uuid4()}",
            lang=detect_language(self.text, self.lang),
            created_at=_utc(self.created_at) or made_now,
            edited_at=_utc(self.edited_at),
            media=tuple(Media(**one.model_dump()) for one in self.media),
            tags=tuple(self.tags),
            **given,
        )


class SearchQuery(BaseModel):
    """What to search for. Several authors, languages or sources are alternatives."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field("", max_length=1000, description="Words, and `from:`, `since:` and the like.")
    limit: int = Field(10, ge=1, le=100)
    order: Order = "relevance"
    author: list[str] = Field([], max_length=100)
    since: datetime | None = Field(None, description="At this time or later; UTC unless it says.")
    until: datetime | None = Field(None, description="Before this time; UTC unless it says.")
    lang: list[str] = Field([], max_length=100)
    source: list[str] = Field([], max_length=100)
    thread: str | None = None

    def filters(self) -> Filters:
        """Return the restrictions among the parameters."""
        return Filters(
            authors=tuple(self.author),
            langs=tuple(self.lang),
            sources=tuple(self.source),
            since=_utc(self.since),
            until=_utc(self.until),
            thread=self.thread,
        )


PostId = Annotated[str, Path(description="A post's id, percent-encoded.", max_length=2048)]


@router.get(
    "/v1/search",
    response_class=Response,
    responses={200: {"model": SearchResponse}, **ERRORS},
)
async def search(query: Annotated[SearchQuery, Query()], request: Request) -> Response:
    """Find posts."""
    service = service_of(request)
    try:
        result = await service.call(
            service.home.search,
            query.q,
            limit=query.limit,
            filters=query.filters(),
            order=query.order,
        )
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_value", param="q") from None
    hits = [_hit(hit) for hit in result.hits]
    return _json({"took_ms": round(result.took_ms, 3), "hits": hits})


@router.get(
    "/v1/posts/{id:path}",
    response_class=Response,
    responses={200: {"model": PostWithThread}, **ERRORS},
)
async def read(id: PostId, request: Request) -> Response:
    """Return a post with its thread; 404 where it is not known, 410 where it was erased."""
    service = service_of(request)
    found = await service.call(_find, service, id)
    return _json(found)


@admin.post(
    "/v1/posts",
    response_class=Response,
    responses={
        200: {"model": Changed, "description": "Edited, or unchanged."},
        201: {"model": Changed, "description": "Written."},
        **ERRORS,
    },
)
async def write(body: PostIn, request: Request) -> Response:
    """Write a post, or edit the one with the same id; it is searchable within a second."""
    service = service_of(request)
    post = body.post()
    outcome = await service.call(service.home.write, post)
    if outcome == "erased":
        raise _gone(post.id, "its tombstone stands; a post that was erased does not come back")
    if outcome == "refused":
        raise ApiError(409, "its author refuses every use of it", code="refused", param="author")
    return _changed(post.id, "post", outcome, status=201 if outcome == "written" else 200)


@admin.delete(
    "/v1/posts/{id:path}",
    response_class=Response,
    responses={200: {"model": Changed}, **ERRORS},
)
async def erase(id: PostId, request: Request) -> Response:
    """Erase a post for good, also should it be imported again later."""
    service = service_of(request)
    return _changed(id, "post", await service.call(service.home.forget, id))


@admin.delete(
    "/v1/authors/{id:path}",
    response_class=Response,
    responses={200: {"model": Changed}, **ERRORS},
)
async def erase_author(
    id: Annotated[str, Path(description="An author's handle.", max_length=256)],
    request: Request,
    source: Annotated[str | None, Query(max_length=256)] = None,
) -> Response:
    """Erase every post of an author for good, also such as are imported later."""
    service = service_of(request)
    if source is None:
        sources = await service.call(service.home.log.sources_of, id)
        if not sources:
            raise ApiError(404, f"no post here is by {id!r}", code="not_found", param="id")
        if len(sources) > 1:
            raise ApiError(
                400,
                f"{id!r} stands for different people in {', '.join(sources)}; name the source",
                code="missing_required_parameter",
                param="source",
            )
    return _changed(id, "author", await service.call(service.home.forget_author, id, source))


def _find(service: Service, id: str) -> dict[str, Any]:
    home = service.home
    stored = home.post(id)
    if stored is None:
        if home.log.is_erased(id):
            raise _gone(id, "it was erased")
        raise ApiError(404, f"there is no post {id!r} here", code="not_found", param="id")
    thread = home.thread(stored.thread, limit=_MOST_THREAD_POSTS)
    around = _around(thread, stored)
    return {**stored.post.to_dict(), "thread_posts": [one.post.to_dict() for one in around]}


def _around(thread: Sequence[Stored], stored: Stored) -> Sequence[Stored]:
    """Return the part of a long thread in which a post stands."""
    place = next((n for n, one in enumerate(thread) if one.key == stored.key), 0)
    last_start = max(0, len(thread) - THREAD_POSTS)
    start = min(max(0, place - THREAD_POSTS // 2), last_start)
    return thread[start : start + THREAD_POSTS]


def _hit(hit: Hit) -> dict[str, Any]:
    post = hit.post
    return {
        "id": post.id,
        "source": post.source,
        "author": post.author,
        "author_name": post.author_name,
        "created_at": format_time(post.created_at) if post.created_at else None,
        "lang": post.lang,
        "text": post.text,
        "score": round(hit.score, 4),
        "highlights": hit.highlights,
        "url": post.url,
    }


def _gone(id: str, why: str) -> ApiError:
    return ApiError(410, f"there is no post {id!r} any more: {why}", code="erased", param="id")


def _changed(id: str, kind: str, outcome: Outcome, *, status: int = 200) -> Response:
    return _json({"id": id, "object": kind, "outcome": outcome}, status)


def _json(data: object, status: int = 200) -> Response:
    return Response(orjson.dumps(data), status, media_type="application/json")


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
