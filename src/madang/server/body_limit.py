"""Bodies are read whole before a request is worked on, up to a size and within a time."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from madang.server.errors import ApiError, shutting_down

MAX_BODY_BYTES: Final = 1 << 20
BODY_TIMEOUT_S: Final = 30.0


class BodyLimit:
    """Refuses bodies over a mebibyte, also such as do not tell their size."""

    def __init__(self, app: ASGIApp, closing: asyncio.Event) -> None:
        """Read bodies for `app`; those that are still on their way at `closing` are given up."""
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        reading = asyncio.ensure_future(_read(Headers(scope=scope), receive))
        closed = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait(
                {reading, closed}, timeout=BODY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not reading.done():
                raise shutting_down() if closed.done() else _late()
            body = reading.result()
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        finally:
            reading.cancel()
            closed.cancel()
        if body is None:
            return
        given = False

        async def receive_again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_again, send)


async def _read(headers: Headers, receive: Receive) -> bytes | None:
    """Read a body; none where the client left. Raises ApiError where it is too large."""
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> ApiError:
    return ApiError(
        413,
        f"the request is larger than {MAX_BODY_BYTES} bytes; send less of the conversation",
        code="request_too_large",
        # What is left of the body is not read, so the connection cannot be used again.
        headers={"connection": "close"},
    )


def _late() -> ApiError:
    return ApiError(
        408,
        f"the body did not arrive within {BODY_TIMEOUT_S:g} seconds",
        code="request_timeout",
        headers={"connection": "close"},
    )
