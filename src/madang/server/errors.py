"""Errors as OpenAI's clients read them: one shape with four keys, for every failure there is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from madang.home.brake import StoppedError
from madang.server.headers import API_HEADERS

STOPPED: Final = "stopped"

_LONGEST_MESSAGE: Final = 400

_log = logging.getLogger("madang.server")

# What Starlette and FastAPI refuse by themselves.
_CODES: Final = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
}


class ApiError(Exception):
    """A refusal that goes to the client as it stands."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    @property
    def type(self) -> str:
        """OpenAI's coarse kind of error."""
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return the JSON that a client gets, as a response or as an event of a stream."""
        return {
            "error": {
                "message": _sendable(self.message),
                "type": self.type,
                "param": None if self.param is None else _sendable(self.param),
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """Return the error as a response."""
        return Response(
            orjson.dumps(self.body()),
            self.status,
            headers={**API_HEADERS, **self.headers},
            media_type="application/json",
        )


def stopped() -> ApiError:
    """Return the error of the emergency brake; clients are told not to try again by themselves."""
    return ApiError(503, str(StoppedError()), code=STOPPED, headers={"x-should-retry": "false"})


def shutting_down() -> ApiError:
    """Return the error of a server that is about to end."""
    return ApiError(
        503,
        "the server is being shut down",
        code="shutting_down",
        headers={"retry-after": "5", "connection": "close"},
    )


def internal() -> ApiError:
    """Return the error of a fault of ours; what went wrong stands in the log alone."""
    return ApiError(500, "the server failed to answer; its log says why", code="internal_error")


def invalid(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Return the error of a request that does not validate; it names the first field at fault."""
    first = errors[0]
    param = parameter_name(first.get("loc", ()))
    kind = first.get("type", "")
    message = str(first.get("msg", "invalid")).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return ApiError(400, f"unknown parameter: {param}", code="unknown_parameter", param=param)
    if kind == "json_invalid":
        return ApiError(400, "the body is not JSON", code="invalid_json")
    if kind == "missing" and param is None:
        return ApiError(400, "the request needs a JSON body", code="missing_body")
    if kind in ("model_attributes_type", "dict_type") and param is None:
        wanted = "the body must be a JSON object, sent with content-type: application/json"
        return ApiError(400, wanted, code="invalid_json")
    if kind == "missing":
        return ApiError(
            400, f"missing parameter: {param}", code="missing_required_parameter", param=param
        )
    code = kind if kind.startswith("unsupported_") else "invalid_value"
    text = message if param is None or param in message else f"{param}: {message}"
    return ApiError(400, text, code=code, param=param)


def parameter_name(location: Sequence[str | int]) -> str | None:
    """Write a place in a request as OpenAI does: `messages[0].content`."""
    parts = list(location)
    if parts and parts[0] in ("body", "query", "path", "header"):
        parts = parts[1:]
    name = ""
    for part in parts:
        if isinstance(part, int):
            name += f"[{part}]"
        elif _is_field(part):
            name += f".{part}" if name else part
    return name or None


def _sendable(text: str) -> str:
    """Return what may repeat a client's words, without halves of characters, and not too long."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"


def _is_field(part: str) -> bool:
    # Pydantic also names the branch of a union there, as in `function-after[...]` or `list[...]`.
    return part.isidentifier() and part not in ("str", "list", "dict")


def install(app: FastAPI) -> None:
    """Make every error of an app take the one shape."""

    async def on_api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error.response()

    async def on_stopped(request: Request, error: Exception) -> Response:
        return stopped().response()

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(error.errors()).response()

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "invalid_request")
        message = {
            404: f"there is nothing at {request.url.path}",
            405: f"{request.url.path} does not take {request.method}",
        }.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {})
        return ApiError(error.status_code, message, code=code, headers=headers).response()

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(StoppedError, on_stopped)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


class Faults:
    """Answers with an error where a fault of ours left a request without a response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def send_and_see(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        except Exception:
            if started or scope["type"] != "http":
                raise
            _log.exception("%s %s failed", scope["method"], scope["path"])
            await internal().response()(scope, receive, send)
