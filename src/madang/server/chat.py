"""`POST /v1/chat/completions`: one question, answered step by step."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from madang.answer import Request as Question
from madang.answer import SourcesFound
from madang.home import Steps, StoppedError
from madang.server.admission import Place, QueueFullError
from madang.server.chat_request import ChatCompletionRequest
from madang.server.chunks import Reply
from madang.server.errors import ApiError, internal, shutting_down, stopped
from madang.server.headers import API_HEADERS
from madang.server.schemas import ERRORS, STREAM, ChatCompletion
from madang.server.service import Service, require_chat, service_of
from madang.server.streaming import (
    DONE,
    KEEP_ALIVE,
    ClosingError,
    Emit,
    LeftError,
    Production,
    event,
)
from madang.server.usage import count_usage

router = APIRouter(tags=["chat"])

_log = logging.getLogger("madang.server")

_STREAM_HEADERS: Final = {**API_HEADERS, "x-accel-buffering": "no"}


@router.post(
    "/v1/chat/completions",
    response_class=Response,
    responses={200: {"model": ChatCompletion, "content": STREAM}, **ERRORS},
)
async def complete(body: ChatCompletionRequest, request: Request) -> Response:
    """Answer the last message from the community's posts, whole or as a stream of events."""
    require_chat(request)
    service = service_of(request)
    if service.home.stopped:
        raise stopped()
    question = body.question(service.home.names.knows)
    answering = _Answering(service, body, question, str(request.base_url).rstrip("/"))
    return (_StreamedAnswer if body.stream else _WholeAnswer)(service, answering)


class _Answering:
    """The making of one answer, on a thread of its own."""

    def __init__(
        self, service: Service, body: ChatCompletionRequest, question: Question, base_url: str
    ) -> None:
        self._service = service
        self._body = body
        self._question = question
        self._steps: Steps | None = None
        self._cancelled = False
        self._base_url = base_url
        self.reply = self._new_reply()
        self.usage: dict[str, Any] = {}

    def work(self, emit: Emit[bytes]) -> None:
        """Make the answer and emit its events."""
        self._steps = steps = self._service.home.steps(self._question, model=self._body.named)
        if self._cancelled:
            steps.close()
            return
        self.reply.engine = steps.engine.name if steps.engine is not None else None
        for step in steps:
            if isinstance(step, SourcesFound) and not self._body.stream:
                # An answer that was begun anew; of what came before, nothing was sent.
                self.reply = self._new_reply()
            for chunk in self.reply.chunks(step):
                emit(event(chunk))
        if self.reply.answer is None:
            return
        asked = "\n".join(message.text for message in self._body.messages)
        self.usage = count_usage(steps.engine, asked, self.reply.content)
        if self._body.wants_usage:
            emit(event(self.reply.usage_chunk(self.usage)))
        metrics = self._service.metrics
        metrics.answered(self.reply.answer)
        for kind in ("prompt", "completion"):
            metrics.tokens.labels(kind).inc(self.usage[f"{kind}_tokens"])

    def _new_reply(self) -> Reply:
        return Reply(self._base_url, self._body.model)

    def cancel(self) -> None:
        """End the making soon; any thread may ask for it."""
        self._cancelled = True
        if self._steps is not None:
            self._steps.close()

    def production(self, place: Place) -> Production[bytes]:
        """Return the work, ready to begin when the place has its turn."""
        return Production(self.work, self.cancel, place=place, executor=self._service.answering)


class _AnswerResponse(Response):
    """Takes a place in the queue and holds it only while its client is there."""

    def __init__(self, service: Service, answering: _Answering) -> None:
        super().__init__(headers=API_HEADERS)
        self._service = service
        self._answering = answering

    @contextmanager
    def _place(self) -> Iterator[Place]:
        try:
            place = self._service.admission.enter()
        except QueueFullError as full:
            self._service.metrics.refusals.inc()
            seconds = full.retry_after_s
            waits = {"retry-after": f"{seconds:.0f}", "retry-after-ms": f"{seconds * 1000:.0f}"}
            raise ApiError(429, str(full), code="queue_full", headers=waits) from None
        with place:
            yield place


class _WholeAnswer(_AnswerResponse):
    """The answer as one chat completion."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._place() as place:
                production = self._answering.production(place)
                async with aclosing(production.results(receive, self._service.closing)) as events:
                    async for _ in events:
                        pass
        except LeftError:
            return
        except (StoppedError, ClosingError) as error:
            raise _as_api_error(error) from None
        completion = self._answering.reply.completion(self._answering.usage)
        whole = Response(
            orjson.dumps(completion), headers=API_HEADERS, media_type="application/json"
        )
        await whole(scope, receive, send)


class _StreamedAnswer(_AnswerResponse):
    """The answer as server-sent events; an error before the first of them has its own status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def write(data: bytes) -> None:
            nonlocal started
            if not started:
                started = True
                opening = Response(headers=_STREAM_HEADERS, media_type="text/event-stream")
                headers = [one for one in opening.raw_headers if one[0] != b"content-length"]
                start = {"type": "http.response.start", "status": 200, "headers": headers}
                await send(start)
            await send({"type": "http.response.body", "body": data, "more_body": True})

        try:
            with self._place() as place:
                production = self._answering.production(place)
                async with aclosing(production.results(receive, self._service.closing)) as events:
                    async for data in events:
                        await write(KEEP_ALIVE if data is None else data)
        except LeftError:
            return
        except Exception as error:
            refusal = _as_api_error(error)
            if not started:
                raise refusal from None
            await write(event(refusal.body()))
        else:
            await write(DONE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _as_api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case StoppedError():
            return stopped()
        case ClosingError():
            return shutting_down()
    _log.error("an answer failed", exc_info=error)
    return internal()
