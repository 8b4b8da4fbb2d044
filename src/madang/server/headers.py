"""Headers that every response carries."""

from __future__ import annotations

import uuid
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page loads nothing from elsewhere and runs no script but its own files.
PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "object-src 'none'"
)
_DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

_SECURITY: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

# Answers and posts must not outlive their erasure in a cache.
API_HEADERS: Final = {
    **_SECURITY,
    "content-security-policy": _DATA_POLICY,
    "cache-control": "no-store",
}


class Headers:
    """Adds what is missing of the security headers, and a request id, to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                html = headers.get("content-type", "").startswith("text/html")
                wanted = {
                    **API_HEADERS,
                    "content-security-policy": PAGE_POLICY if html else _DATA_POLICY,
                    "x-request-id": f"req_{uuid.uuid4().hex}",
                }
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
