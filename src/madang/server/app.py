"""The application: its routes, and what every request passes on the way to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from madang.home import Home
from madang.server import chat, errors, learning, models, page, posts
from madang.server.access import Access, Hosts
from madang.server.body_limit import BodyLimit
from madang.server.headers import Headers
from madang.server.metrics import Measured
from madang.server.service import Service

DEFAULT_WORKERS: Final = 2
DEFAULT_QUEUE: Final = 32


def create_app(
    home: Home,
    *,
    host: str = "127.0.0.1",
    allowed_hosts: tuple[str, ...] = (),
    workers: int = DEFAULT_WORKERS,
    queue: int = DEFAULT_QUEUE,
    learn_minutes: float = 0,
) -> FastAPI:
    """Return the application that serves a home, which stays the caller's to close.

    `host` is the address that it will be bound to; `allowed_hosts` are further names that it goes
    by. At most `workers` answers are made at once while `queue` questions wait. The model is
    loaded in the background once the application has started; then the community's own model
    learns for `learn_minutes`, where that is more than none.
    """
    service = Service(home, workers=workers, queue=queue)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        home.follow_in_background()
        home.model.load_in_background()
        if learn_minutes:
            home.learn_in_background(learn_minutes)
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="Madang",
        version="1",
        summary="A community's posts in, cited answers out.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    routers = (chat.router, posts.router, posts.admin, models.router, learning.router, page.router)
    for router in routers:
        app.include_router(router)
    errors.install(app)
    # The last one added is the first that a request meets.
    app.add_middleware(errors.Faults)
    app.add_middleware(BodyLimit, closing=service.closing)
    app.add_middleware(Access, hosts=Hosts.of(host, allowed_hosts))
    app.add_middleware(Headers)
    app.add_middleware(Measured, metrics=service.metrics)
    return app
