"""Which models there are, whether the server is well, and its counters."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from madang.server.chat_request import MODEL
from madang.server.errors import ApiError
from madang.server.metrics import CONTENT_TYPE
from madang.server.schemas import ERRORS, Health, ModelCard, ModelList
from madang.server.service import Service, service_of

router = APIRouter(tags=["server"])


@router.get("/v1/models", response_model=ModelList, responses=ERRORS)
async def list_models(request: Request) -> dict[str, Any]:
    """List the one model: answers from the community's posts."""
    return {"object": "list", "data": [_card(service_of(request))]}


@router.get("/v1/models/{id:path}", response_model=ModelCard, responses=ERRORS)
async def read_model(id: str, request: Request) -> dict[str, Any]:
    """Describe a model."""
    if id != MODEL:
        raise ApiError(
            404, f"there is no model {id[:80]!r} here", code="model_not_found", param="model"
        )
    return _card(service_of(request))


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


def _card(service: Service) -> dict[str, Any]:
    engine = service.home.model.ready
    return {
        "id": MODEL,
        "object": "model",
        "created": service.started,
        "owned_by": MODEL,
        "engine": engine.name if engine is not None else None,
    }
