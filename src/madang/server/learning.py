"""How the community's model learns, and the runs that there are, with their curves."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from madang.home.run_files import Curve, RunFiles, read_run, run_files
from madang.server.errors import ApiError
from madang.server.schemas import ERRORS, LearningNow, RunDetail, RunList
from madang.server.service import Service, service_of

router = APIRouter(tags=["learning"])


@router.get(
    "/v1/learning",
    response_class=Response,
    responses={200: {"model": LearningNow}, **ERRORS},
)
async def learning(request: Request) -> Response:
    """Say what the model in the background does now, with its curve so far."""
    service = service_of(request)
    return _json(await service.call(_learning, service))


@router.get("/v1/runs", response_class=Response, responses={200: {"model": RunList}, **ERRORS})
async def runs(request: Request) -> Response:
    """List the runs of the home, newest first."""
    service = service_of(request)
    return _json(await service.call(_runs, service))


@router.get(
    "/v1/runs/{name}",
    response_class=Response,
    responses={200: {"model": RunDetail}, **ERRORS},
)
async def run(
    name: Annotated[str, Path(description="A run's name.", max_length=128)], request: Request
) -> Response:
    """Return one run with its curve."""
    service = service_of(request)
    found = await service.call(read_run, service.home.folder.runs, name)
    if found is None:
        raise ApiError(404, f"there is no run {name!r} here", code="not_found", param="name")
    return _json(await service.call(_detail, found))


def _learning(service: Service) -> dict[str, Any]:
    home = service.home
    status = home.learning_status
    run = read_run(home.folder.runs, status.run) if status.run else None
    return {
        "state": status.state,
        "stage": status.stage,
        "detail": status.detail,
        "minutes": status.minutes,
        "seconds": round(status.seconds, 1) if status.seconds is not None else None,
        "run": status.run,
        "release": status.release,
        "speaks": home.model.speaks,
        "bits_per_byte": status.bits_per_byte,
        "curve": _curve(run.curve() if run is not None else Curve()),
    }


def _runs(service: Service) -> dict[str, Any]:
    found = run_files(service.home.folder.runs)
    return {"object": "list", "data": [one.summary() for one in found]}


def _detail(run: RunFiles) -> dict[str, Any]:
    return {**run.summary(), "curve": _curve(run.curve())}


def _curve(curve: Curve) -> dict[str, Any]:
    last = curve.last or {}
    return {
        "points": curve.points,
        "evaluations": curve.evaluations,
        "step": last.get("step"),
        "tokens": last.get("tokens"),
        "tokens_per_second": last.get("tokens_per_second"),
        "peak_share": last.get("peak_share"),
        "sample": curve.sample,
    }


def _json(data: object) -> Response:
    return Response(orjson.dumps(data), media_type="application/json")
