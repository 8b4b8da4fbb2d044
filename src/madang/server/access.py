"""Who may ask: the host that was named, the page that a request comes from, and the key.

A page of another site must not reach a server on this machine through the reader's browser,
neither directly (`Origin`) nor by having its own name point here (`Host`, DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from madang.server.errors import ApiError

_LOOPBACK_NAME: Final = "localhost"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_READING: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names under which this server may be asked for.

    Any address in numbers is one of them once the server listens beyond this machine: names can
    be made to point anywhere, numbers cannot.
    """

    names: frozenset[str]
    any_address: bool = False

    @classmethod
    def of(cls, bound: str, allowed: tuple[str, ...] = ()) -> Hosts:
        """Return the names for a server bound to `bound`; `allowed` are further ones."""
        names = {host.lower().rstrip(".") for host in (bound, *allowed)}
        beyond = not is_loopback(bound)
        if beyond:
            names.add(socket.gethostname().lower())
        return cls(frozenset(names), any_address=beyond)

    def allow(self, header: str | None) -> bool:
        """Return whether a Host header names this server."""
        parsed = _host_and_port(header or "")
        if parsed is None:
            return False
        host = parsed[0]
        return is_loopback(host) or host in self.names or (self.any_address and _is_address(host))


def is_loopback(host: str) -> bool:
    """Return whether a host is this very machine, by name or address."""
    if host.lower().rstrip(".") == _LOOPBACK_NAME:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header names the host that the request went to."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    asked = _host_and_port(host)
    default = _DEFAULT_PORTS.get(parts.scheme)
    if asked is None or default is None or not parts.hostname or origin.count("/") != 2:
        return False
    return (parts.hostname, port or default) == (asked[0], asked[1] or default)


def bearer_key(headers: Headers) -> str | None:
    """Return the key of an Authorization header."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


def is_key(given: str | None, key: str) -> bool:
    """Compare a key in constant time."""
    return given is not None and secrets.compare_digest(given.encode(), key.encode())


def invalid_key() -> ApiError:
    """Return the error of a missing or wrong key."""
    return ApiError(
        401,
        "this needs the administrator's key as `Authorization: Bearer …`; "
        "it stands in the file admin-key of the home",
        code="invalid_api_key",
        headers={"www-authenticate": "Bearer", "x-should-retry": "false"},
    )


class Access:
    """Refuses requests that were sent to another host, or by a page of another origin."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        host = headers.get("host")
        if len(headers.getlist("host")) != 1 or not self._hosts.allow(host):
            return ApiError(
                421,
                "this server does not go by that name; use its address in numbers",
                code="misdirected_request",
            )
        origin = headers.get("origin")
        if scope["method"] in _READING or origin is None:
            return None
        if len(headers.getlist("origin")) == 1 and is_same_origin(origin, host or ""):
            return None
        return ApiError(
            403, "requests from the pages of other sites are refused", code="foreign_origin"
        )


def _host_and_port(header: str) -> tuple[str, int | None] | None:
    """Split a Host header into a lower-case host and its port; none where it is not one."""
    if not header or any(character in header for character in "/@?#\\, \t"):
        return None
    try:
        parts = urlsplit(f"//{header}")
        port = parts.port
    except ValueError:
        return None
    return (parts.hostname.rstrip("."), port) if parts.hostname else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
