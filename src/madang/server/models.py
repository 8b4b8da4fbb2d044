"""Which models there are, whether the server is well, and its counters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from madang.home.releases import published_models
from madang.server.chat_request import MODEL
from madang.server.errors import ApiError
from madang.server.metrics import CONTENT_TYPE
from madang.server.schemas import ERRORS, Health, ModelCard, ModelList
from madang.server.service import Service, service_of

router = APIRouter(tags=["server"])


@router.get("/v1/models", response_model=ModelList, responses=ERRORS)
async def list_models(request: Request) -> dict[str, Any]:
    """List the models that answer from the community's posts: who speaks, then each by name."""
    service = service_of(request)
    return {"object": "list", "data": await service.call(_cards, service)}


@router.get("/v1/models/{id:path}", response_model=ModelCard, responses=ERRORS)
async def read_model(id: str, request: Request) -> dict[str, Any]:
    """Describe a model."""
    service = service_of(request)
    for card in await service.call(_cards, service):
        if card["id"] == id:
            return card
    raise ApiError(
        404, f"there is no model {id[:80]!r} here", code="model_not_found", param="model"
    )


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_model=Health)
async def health(request: Request) -> dict[str, Any]:
    """Say that the server listens, also while the model is still being loaded."""
    home = service_of(request).home
    state = "loading" if home.model.loading else "ready" if home.model.ready else "none"
    return {"status": "ok", "model": state, "stopped": home.stopped}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **ERRORS},
)
async def metrics(request: Request) -> Response:
    """Return the counters as Prometheus reads them."""
    return Response(service_of(request).metrics.text(), headers={"content-type": CONTENT_TYPE})


def _cards(service: Service) -> list[dict[str, Any]]:
    home = service.home
    engine = home.model.ready
    name = engine.name if engine is not None else None
    speaking = {**_card(MODEL, service.started), "engine": name, "speaks": True}
    releases = {one.name: one for one in published_models(home.folder.releases)}
    cards: list[dict[str, Any]] = [speaking]
    for name in home.names.all():
        release = releases.get(name)
        made = _seconds(release.created_at) if release else None
        card = _card(name, made or service.started)
        cards.append({**card, "engine": name, "speaks": name == home.model.speaks})
    return cards


def _card(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": MODEL}


def _seconds(moment: str) -> int | None:
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return None
