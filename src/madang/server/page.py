"""The chat page: its files, and what it shows of this server."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from madang.posts.post import format_time
from madang.server.errors import ApiError
from madang.server.schemas import ERRORS, PageInfo
from madang.server.service import Service, service_of

router = APIRouter()

FOLDER: Final = Path(__file__).parent / "page"
LANGUAGES: Final = ("ko", "en")
_NAME: Final = re.compile(r"(?:[\w-]{1,64}/){0,4}[\w-]{1,64}(?:\.\w{1,16}){1,2}", re.ASCII)
_MOST_EXAMPLES: Final = 12
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def index(request: Request) -> Response:
    """Return the page."""
    return _file(FOLDER / "index.html", request)


@router.api_route("/runs", methods=["GET", "HEAD"], include_in_schema=False)
async def runs(request: Request) -> Response:
    """Return the page that shows runs and compares them."""
    return _file(FOLDER / "runs.html", request)


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
async def static(path: str, request: Request) -> Response:
    """Return a file of the page."""
    # Nothing else is a name: no parents, no blanks, nothing too long for a file system.
    if not _NAME.fullmatch(path):
        raise _missing(request)
    return _file(FOLDER / path, request)


@router.get("/favicon.ico", include_in_schema=False)
async def favicon(request: Request) -> Response:
    """Browsers ask for it unasked; the page names its own icon."""
    return Response(status_code=204)


@router.get(
    "/page/info",
    response_class=Response,
    responses={200: {"model": PageInfo}, **ERRORS},
    tags=["server"],
)
async def info(request: Request) -> Response:
    """Return what the page shows of this server."""
    service = service_of(request)
    return Response(orjson.dumps(await service.call(_info, service)), media_type="application/json")


def _info(service: Service) -> dict[str, Any]:
    home = service.home
    overview = home.overview()
    engine = home.model.ready
    return {
        "name": "Madang",
        "model": engine.name if engine is not None else "",
        "speaks": home.model.speaks,
        "models": home.names.all(),
        "posts": overview.posts,
        "authors": overview.authors,
        "newest": format_time(overview.newest) if overview.newest else None,
        "stopped": home.stopped,
        "remote_engine": engine is not None and engine.remote,
        "sources": list(overview.sources),
        "examples": read_examples(home.folder.examples),
    }


def read_examples(path: Path) -> dict[str, list[str]]:
    """Return the questions that the page proposes, by language; none where the file is not one."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        data = {}
    if not isinstance(data, dict):
        data = {}
    return {
        language: [one for one in _listed(data.get(language)) if isinstance(one, str) and one]
        for language in LANGUAGES
    }


def _listed(value: object) -> list[Any]:
    return value[:_MOST_EXAMPLES] if isinstance(value, list) else []


def _file(path: Path, request: Request) -> Response:
    """Return a file under its digest as ETag; a browser asks each time whether it still holds."""
    path = path.resolve()
    kind = _TYPES.get(path.suffix)
    if kind is None or not path.is_relative_to(FOLDER.resolve()) or not path.is_file():
        raise _missing(request)
    stat = path.stat()
    content, digest = _read(path, stat.st_mtime_ns, stat.st_size)
    headers = {"content-type": kind, "etag": f'"{digest}"', "cache-control": "no-cache"}
    known = {
        one.strip().removeprefix("W/")
        for one in request.headers.get("if-none-match", "").split(",")
    }
    if known & {f'"{digest}"', "*"}:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def _missing(request: Request) -> ApiError:
    return ApiError(404, f"there is nothing at {request.url.path}", code="not_found")


@lru_cache(maxsize=256)
def _read(path: Path, modified_ns: int, size: int) -> tuple[bytes, str]:
    content = path.read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:32]
